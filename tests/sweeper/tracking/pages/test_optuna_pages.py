"""Optuna's dashboard is served on the study of a sweep, where it is installed."""

import subprocess
import sys
from contextlib import nullcontext
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
        served.update(options, command=command, environment=environment)
        options["opened"]()

    monkeypatch.setattr(optuna_pages, "serve", serve)
    told: list[str] = []
    place = Place("0.0.0.0", 8099)
    optuna_pages.serve_study(sweep.home, sweep=None, place=place, tell=told.append)
    command = served["command"]
    assert command[0] == sys.executable
    # A command line can be read by everybody on a machine, and an address may hold a password.
    storage = served["environment"]["SWEEPER_OPTUNA_STORAGE"]
    assert make_url(storage).database == str(sweep.path / "optuna.db")
    assert command[3:] == ["--host", "0.0.0.0", "--port", "8099"]
    assert told == ["Study of masa-1:  http://127.0.0.1:8099/dashboard"]


def test_a_study_in_a_shared_database_is_served_by_its_address(sweep, installed, monkeypatch):
    uri = "postgresql://me:secret@db/studies"
    monkeypatch.setenv("SWEEPER_OPTUNA_STORAGE", uri)
    monkeypatch.setattr(optuna_pages, "answering", lambda *_, **__: nullcontext())
    served: dict[str, Any] = {}

    def serve(command, environment, **options):
        served.update(command=command, storage=environment["SWEEPER_OPTUNA_STORAGE"])

    monkeypatch.setattr(optuna_pages, "serve", serve)
    told: list[str] = []
    optuna_pages.serve_study(sweep.home, sweep=None, place=Place(port=8099), tell=told.append)
    assert served["storage"] == uri
    assert "secret" not in " ".join([*served["command"], *told])
    assert told == [f"Name of the study:  masa-1-{sweep.about().sweep_id}"]


def test_the_program_gives_the_dashboard_its_address(tmp_path):
    command = [sys.executable, "-c", optuna_pages._RUN, "--port", "1"]
    fake = tmp_path / "fake.py"
    fake.write_text("import sys\n\n\ndef main():\n    print(sys.argv[1:])\n")
    info = tmp_path / "fake-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[console_scripts]\noptuna-dashboard = fake:main\n")
    environment = {"PYTHONPATH": str(tmp_path), "SWEEPER_OPTUNA_STORAGE": "sqlite:///x.db"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "['sqlite:///x.db', '--port', '1']\n"
