"""Sweeps on disk, made once; nobody changes them."""

from __future__ import annotations

import pytest

from sweeper.report.page import subject_of
from sweeper.tracking import places
from sweeper.tracking.provenance import GitState
from tests.sweeper.report import made


@pytest.fixture(scope="package")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="package")
def groups(home, tmp_path_factory):
    """A one-factor design with a control arm, of a known commit however git fares here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(places, "git_state", lambda folder: GitState("0123abcd" * 5, is_dirty=False))
        folder = made.one_factor(home, tmp_path_factory.mktemp("space"))
    return subject_of(folder, tracking_uri="sqlite:///mlflow.db")


@pytest.fixture(scope="package")
def hunt(home, tmp_path_factory):
    """A short search."""
    folder = made.searched(home, tmp_path_factory.mktemp("space"), trials=6)
    return subject_of(folder, tracking_uri="sqlite:///mlflow.db")
