"""Addresses are shown without what must not be shown."""

from __future__ import annotations

import pytest

from sweeper.tracking.databases import is_postgresql, public_uri, without_secrets
from sweeper.tracking.mlflow_view import is_server


@pytest.mark.parametrize(
    ("uri", "public", "server"),
    [
        ("sqlite:////home/user/mlflow.db", "sqlite:////home/user/mlflow.db", False),
        ("http://host:5000", "http://host:5000", True),
        ("https://u:p@host/x", "https://host/x", True),
        ("postgresql+psycopg2://u:p@db/mlflow", "postgresql+psycopg2://db/mlflow", False),
        ("postgresql://u:p/w@db/mlflow?password=p", "postgresql://db/mlflow", False),
        ("mysql://db/mlflow?user=u&sslkey=k", "mysql://db/mlflow", False),
        ("https://host/x?token=t", "https://host/x", True),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db", False),
        ("http://[bad", "http://[bad", True),
        ("databricks", "databricks", False),
        ("./mlruns", "./mlruns", False),
    ],
)
def test_tracking_uris(uri, public, server):
    assert public_uri(uri) == public
    assert is_server(uri) is server


def test_no_driver_quotes_a_password():
    uri = "postgresql://u:s%40cret@db/mlflow?sslpassword=hidden"
    text = f"cannot connect to {uri} with s@cret (s%40cret), hidden"
    assert without_secrets(text, uri) == (
        "cannot connect to postgresql://db/mlflow with *** (***), ***"
    )


@pytest.mark.parametrize(
    ("uri", "is_one"),
    [
        ("postgresql://db/studies", True),
        ("PostgreSQL+psycopg://db/studies", True),
        ("postgres://db/studies", False),
        ("sqlite:///postgresql", False),
        ("postgresql", False),
        ("", False),
    ],
)
def test_which_addresses_are_of_postgresql(uri, is_one):
    assert is_postgresql(uri) is is_one
