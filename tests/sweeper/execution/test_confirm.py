"""A search and its confirmation through the command line, with trials that end without training."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sweeper.analysis.finished import find_finished
from sweeper.cli import app
from sweeper.cli.commands.sweep import _drive
from sweeper.cli.output import Output
from sweeper.errors import BadInputError
from sweeper.execution.confirm import confirmation_driver
from sweeper.execution.driver import SweepDriver
from sweeper.experiment.loading import load_sweep
from sweeper.report.page import subject_of
from sweeper.search import Suggestion
from sweeper.tracking.sweep_folder import SweepFolder
from tests.places import SPACES

EMBEDDED = str(SPACES / "profiles" / "embedded.yaml")
SPACE = """
name: ranks
methods: [{name: lora, rank: {grid: [2, 4, 8]}}]
train: {learning_rate: 1e-3}
search: {trials: 3, asha: null, confirm: {top: 2, seeds: 2}}
"""


class Runs:
    """What stands in the place of a driver's run: each trial ends with its rank as its loss."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.stop_at = ""

    def __call__(self, driver: SweepDriver) -> None:
        folder, space = driver.folder, driver.sweep.space
        self.ran.append(folder.name)
        points = space.fixed_points(driver.sweep.spec.search.trials)
        if driver.sweep.design is not None:
            points = tuple({"method": method.name} for method in space.methods)
        for number, point in enumerate(points):
            trial_id = driver._trials.identify(point)
            job = driver._trials.job(Suggestion(number, point, trial_id))
            trial = folder.trial(job.trial_id)
            trial.begin()
            method = space.trial(point).method
            assert method.name == "lora"
            trial.append(30, {"eval_loss": float(method.rank or 0)})
            trial.complete()
            if folder.name == self.stop_at:
                folder.mark("stopped")
                raise BadInputError("no room")
        folder.mark("complete")


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    found = Runs()
    monkeypatch.setattr(SweepDriver, "run", lambda driver: found(driver))
    # What they look at is the same for a search and its confirmation, and takes seconds.
    for place in ("preflight.checks", "execution.driver", "execution.confirm"):
        monkeypatch.setattr(f"sweeper.{place}.require_runnable", lambda _, address: "rows")
    return found


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    (tmp_path / "ranks.yaml").write_text(SPACE)
    return tmp_path / "home"


def call(command: str, *arguments: object, home: Path) -> Result:
    return CliRunner().invoke(app, [command, *map(str, arguments), "--home", str(home)])


def run(home: Path, *arguments: object) -> Result:
    space = home.parent / "ranks.yaml"
    return call("run", space, "--profile", EMBEDDED, "--name", "s", *arguments, home=home)


def search_in(home: Path) -> SweepDriver:
    sweep = load_sweep(home.parent / "ranks.yaml", profile=EMBEDDED)
    return SweepDriver(SweepFolder.create(home, "s", document=sweep.document), sweep, "rows")


def document(home: Path, sweep: str) -> Any:
    return json.loads(json.dumps(subject_of(SweepFolder(home / sweep), tracking_uri="").document))


def test_a_search_is_followed_by_its_confirmation(home: Path, runs: Runs) -> None:
    result = run(home)
    assert result.exit_code == 0, result.output
    assert runs.ran == ["s", "s-confirm"]
    assert "Its confirmation is s-confirm: 'report s-confirm' has the verdicts." in result.output
    assert "This confirms the search s: its 2 best trials" in " ".join(result.output.split())
    folder = SweepFolder(home / "s-confirm")
    params = [trial.params for trial in folder.trials()]
    assert [(x["configuration"], x["seed"]) for x in params] == [
        ("trial-0-lora", 1),
        ("trial-1-lora", 1),
        ("trial-0-lora", 2),
        ("trial-1-lora", 2),
    ]
    # A fresh seed is another trial: none of them was there before.
    ids = [trial.id for trial in folder.trials()]
    assert find_finished(home, ids, but=folder.path) == {}
    assert document(home, "s")["confirmation"] == {
        "sweep": "s-confirm",
        "status": "complete",
        "is_left": False,
    }
    assert document(home, "s-confirm")["confirms"] == "s"


def test_json_is_one_document_that_names_the_confirmation(home: Path, runs: Runs) -> None:
    file = io.StringIO()
    _drive(search_in(home), Output(as_json=True, stdout=file))
    assert runs.ran == ["s", "s-confirm"]
    assert json.loads(file.getvalue())["confirmation"]["sweep"] == "s-confirm"


def test_a_resume_of_the_search_goes_on_with_its_confirmation(home: Path, runs: Runs) -> None:
    runs.stop_at = "s-confirm"
    result = run(home)
    assert result.exit_code == 2
    # What the search has found is shown before the reason why it is not confirmed.
    assert "s-confirm is not complete; 'resume s'" in " ".join(result.output.split())
    assert (home / "s" / "report.html").is_file()
    assert document(home, "s")["confirmation"]["is_left"]
    text = call("report", "s", home=home).output
    assert "s-confirm is not complete; 'resume s' goes on with it." in " ".join(text.split())
    assert "python -m sweeper resume s --home" in text
    before = SweepFolder(home / "s-confirm").about()
    runs.stop_at = ""
    result = call("resume", "s", home=home)
    assert result.exit_code == 0, result.output
    assert runs.ran == ["s", "s-confirm"] * 2
    assert SweepFolder(home / "s-confirm").about() == before
    assert not document(home, "s")["confirmation"]["is_left"]
    # It is a sweep like any other.
    assert call("resume", "s-confirm", home=home).exit_code == 0
    assert runs.ran[4:] == ["s-confirm"]


def test_a_search_that_did_not_end_has_no_confirmation(home: Path, runs: Runs) -> None:
    runs.stop_at = "s"
    assert run(home).exit_code == 2
    assert not (home / "s-confirm").exists()
    assert document(home, "s")["confirmation"] == {"sweep": None, "status": None, "is_left": False}
    runs.stop_at = ""
    assert call("resume", "s", home=home).exit_code == 0
    assert (home / "s-confirm" / "sweep.json").is_file()


def test_nothing_to_compare_is_said_and_is_no_failure(home: Path, runs: Runs) -> None:
    result = run(home, "--set", "search.trials=1")
    assert result.exit_code == 0, result.output
    assert runs.ran == ["s"]
    assert "nothing is confirmed: the search has no two" in " ".join(result.output.split())
    assert not (home / "s-confirm").exists()


def test_a_name_that_is_taken_is_left_to_its_owner(home: Path, runs: Runs) -> None:
    other = SweepFolder.create(home, "s-confirm", document={})
    assert run(home).exit_code == 0
    assert runs.ran == ["s", "s-confirm-2"]
    assert other.about().confirms is None
    assert other.trials() == []


def test_a_search_without_one_is_run_alone(home: Path, runs: Runs) -> None:
    assert run(home, "--set", "search.confirm=null").exit_code == 0
    assert runs.ran == ["s"]
    assert document(home, "s")["confirmation"] is None
    assert "confirms" not in json.loads((home / "s" / "sweep.json").read_text())


def test_what_another_process_has_made_is_taken(
    home: Path, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = search_in(home)
    driver.run()
    first = confirmation_driver(driver)
    assert first is not None
    # The second one has looked before the first made its folder.
    monkeypatch.setattr("sweeper.analysis.confirmation._find", lambda search: None)
    second = confirmation_driver(driver)
    assert second is not None
    assert second.folder.path == first.folder.path == home / "s-confirm"
