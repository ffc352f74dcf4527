"""Optuna's dashboard is served on the study of a sweep, where it is installed."""

import sys
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import make_url

from sweeper.errors import BadInputError, MissingError
from sweeper.tracking.pages import Place, optuna_pages
from sweeper.tracking.sweep_folder import SweepFolder


@pytest.fixture
def sweep(tmp_path):
    return SweepFolder.create(tmp_path / "my sweeps", "masa-1", document={"name": "masa"})


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr(optuna_pages, "find_spec", lambda name: ModuleType(name))


def test_without_the_package_one_command_gets_it(sweep, monkeypatch):
    monkeypatch.setattr(optuna_pages, "find_spec", lambda name: None)
    with pytest.raises(MissingError, match=r"pip install 'masa-mosa-sweeper\[dashboard\]'"):
        optuna_pages.serve_study(sweep.home, sweep=None, place=Place(), tell=print)


def test_a_sweep_without_a_study_has_nothing_to_show(sweep, installed):
    with pytest.raises(BadInputError, match="'masa-1' has no study"):
        optuna_pages.serve_study(sweep.home, sweep="masa-1", place=Place(), tell=print)


def test_the_study_of_the_sweep_is_served(sweep, installed, monkeypatch):
    (sweep.path / "optuna.db").touch()
    served: dict[str, Any] = {}

    def serve(command, environment, **options):
        served.update(options, command=command)
        options["opened"]()

    monkeypatch.setattr(optuna_pages, "serve", serve)
    told: list[str] = []
    place = Place("0.0.0.0", 8099)
    optuna_pages.serve_study(sweep.home, sweep=None, place=place, tell=told.append)
    command = served["command"]
    assert command[0] == sys.executable
    assert make_url(command[3]).database == str(sweep.path / "optuna.db")
    assert command[4:] == ["--host", "0.0.0.0", "--port", "8099"]
    assert told == ["Study of masa-1:  http://127.0.0.1:8099/dashboard"]
