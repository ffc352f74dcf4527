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
from sweeper.execution.confirm import confirmation_driver, has_time_for
from sweeper.execution.driver import SweepDriver
from sweeper.execution.owner import OwnerWatch, keep_limits
from sweeper.execution.owner.budget import shared_usage
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.space.space import Point
from sweeper.report.page import subject_of
from sweeper.search import Suggestion
from sweeper.tracking.mirror import follow_home, mirrored
from sweeper.tracking.mirror.lease import Lease, Owner
from sweeper.tracking.mirror.working_copy import copy_of
from sweeper.tracking.owner import Limits, Meter, limits_of, usage_of
from sweeper.tracking.sweep_folder import SweepFolder
from tests.places import SPACES
from tests.sweeper.execution.owner.test_admission import Clock
from tests.sweeper.preflight.forecast.test_micro_batch import costs_of

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
    monkeypatch.setattr("sweeper.analysis.confirmation.found_confirmation", lambda search: None)
    second = confirmation_driver(driver)
    assert second is not None
    assert second.folder.path == first.folder.path == home / "s-confirm"


# Of a search that has come to its end, and what it has used of its limits.
HOUR = Limits(max_hours=1)


def limited(home: Path, *, used_s: float, limits: Limits = HOUR) -> SweepDriver:
    """A search that is complete, with limits, after so many seconds."""
    driver = search_in(home)
    driver.run()
    keep_limits(driver.folder.path, limits, costs_of(driver.sweep, low=0.9, high=1.0))
    clock = Clock()
    meter = Meter(driver.folder.path, "0" * 12, clock)
    clock.now_s = used_s
    meter.note(is_last=True)
    return driver


def confirmed(driver: SweepDriver) -> SweepDriver:
    confirmation = confirmation_driver(driver)
    assert confirmation is not None
    return confirmation


def test_a_confirmation_without_time_left_is_not_begun_and_the_reports_say_so(
    home: Path, runs: Runs
) -> None:
    driver = limited(home, used_s=3580)
    runs.ran.clear()
    file = io.StringIO()
    _drive(driver, Output(as_json=True, stdout=file))
    assert runs.ran == ["s"]
    folder = SweepFolder(home / "s-confirm")
    assert folder.status == "stopped"
    assert folder.trials() == []
    assert folder.note == (
        "The limit of 1 h 00 min is reached (59 min 40 s used, with what the search s took): 4 "
        "trials were not begun or not ended. 'resume s --max-hours MORE' goes on with them."
    )
    assert json.loads(file.getvalue())["confirmation"]["is_left"]
    for sweep in ("s", "s-confirm"):
        said = " ".join(call("report", sweep, home=home).output.split())
        assert "4 trials were not begun or not ended. 'resume s --max-hours MORE'" in said
    assert "Its confirmation s-confirm is not complete. The limit of 1 h" in " ".join(
        call("report", "s", home=home).output.split()
    )


@pytest.fixture
def at_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, SweepDriver]:
    """A confirmation without time left, at a URL."""
    (tmp_path / "there").mkdir()
    url = (tmp_path / "there").as_uri()
    monkeypatch.setenv("SWEEPER_COPIES", str(tmp_path / "one"))
    home = follow_home(url)
    (home.parent / "ranks.yaml").write_text(SPACE)
    return url, confirmed(limited(home, used_s=3580))


def test_that_no_time_is_left_is_put_at_the_url_under_the_lease(
    runs: Runs, at_url: tuple[str, SweepDriver], tmp_path: Path
) -> None:
    _, confirmation = at_url
    there = tmp_path / "there" / "s-confirm"
    assert not has_time_for(confirmation)
    assert json.loads((there / "state.json").read_text())["status"] == "stopped"
    (beat,) = there.glob("lease/*.beat")
    assert "is_released" in beat.read_text()


def test_that_no_time_is_left_is_not_said_of_what_another_machine_has_completed(
    runs: Runs, at_url: tuple[str, SweepDriver], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, confirmation = at_url
    monkeypatch.setenv("SWEEPER_COPIES", str(tmp_path / "two"))
    other = SweepFolder(follow_home(url) / "s-confirm")
    with other.lock(), mirrored(other.path):
        other.mark("complete")
    assert has_time_for(confirmation)
    assert confirmation.folder.status == "complete"
    state = tmp_path / "there" / "s-confirm" / "state.json"
    assert json.loads(state.read_text())["status"] == "complete"


def test_that_no_time_is_left_is_not_said_of_what_another_machine_runs(
    runs: Runs, at_url: tuple[str, SweepDriver], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, confirmation = at_url
    copy = copy_of(confirmation.folder.path)
    assert copy is not None
    Lease(copy.store, copy.prefix, owner=Owner(host="far", pid=7)).acquire()

    def has_beaten(lease: Lease, claim: str, owner: Owner) -> bool:
        raise lease._held(owner)

    monkeypatch.setattr(Lease, "_has_died", has_beaten)
    with pytest.raises(BadInputError, match="'s-confirm' is being run by process 7 on far"):
        has_time_for(confirmation)
    assert confirmation.folder.status == "running"


def test_that_no_time_is_left_is_not_said_of_what_another_process_runs(
    home: Path, runs: Runs
) -> None:
    confirmation = confirmed(limited(home, used_s=3580))
    folder = confirmation.folder
    with folder.lock(), pytest.raises(BadInputError, match="'s-confirm' is being run by"):
        has_time_for(confirmation)
    assert folder.status == "running"


def test_no_trial_of_a_confirmation_begins_that_would_not_end_in_what_the_search_has_left(
    home: Path, runs: Runs
) -> None:
    driver = limited(home, used_s=1800)
    confirmation = confirmed(driver)
    assert limits_of(confirmation.folder.path) == HOUR
    assert has_time_for(confirmation)
    point: Point = {"method": confirmation.sweep.space.methods[0].name}
    job = confirmation._trials.job(Suggestion(0, point, confirmation._trials.identify(point)))
    clock = Clock()
    shared = shared_usage(confirmation.folder)
    admission = confirmation._admission
    admission.begin(Meter(confirmation.folder.path, "1" * 12, clock, shared), replicas=1)
    assert admission.admits(job.trial_id, [])
    # By itself it would have most of the hour.
    clock.now_s = 1800
    assert not admission.admits(job.trial_id, [])
    status, note = admission.end(4, "")
    assert status == "stopped"
    assert "(1 h 00 min used, with what the search s took): 4 trials were not begun" in note


def test_what_search_and_confirmation_have_used_counts_for_either_after_a_resume(
    home: Path, runs: Runs
) -> None:
    driver = limited(home, used_s=1800)
    confirmation = confirmed(driver)
    for used_s in (1800, 1800):
        with OwnerWatch(confirmation.folder, stage=str) as watch:
            assert used_s <= watch.meter.usage.seconds < used_s + 60
    # It knows that of the search, once, wherever it is resumed.
    assert len(usage_of(confirmation.folder.path).periods) == 3
    with OwnerWatch(driver.folder, stage=str) as watch:
        assert len(watch.meter.usage.periods) == 4
    assert len(usage_of(driver.folder.path).periods) == 4


def test_more_is_given_to_the_search_for_both(home: Path, runs: Runs) -> None:
    driver = limited(home, used_s=3580)
    assert not has_time_for(confirmed(driver))
    result = call("resume", "s-confirm", "--max-hours", "2", home=home)
    assert result.exit_code == 2
    said = " ".join(result.output.split())
    assert "s-confirm confirms the search s, and got limits (2 h 00 min)" in said
    assert "'resume s' with the same options goes on with its confirmation" in said
    keep_limits(driver.folder.path, Limits(max_hours=2), None)
    confirmation = confirmed(driver)
    assert limits_of(confirmation.folder.path) == Limits(max_hours=2)
    assert has_time_for(confirmation)


def test_a_confirmation_is_held_against_the_memory_of_its_search(home: Path, runs: Runs) -> None:
    driver = limited(home, used_s=60, limits=Limits(max_memory_bytes=1000))
    with pytest.raises(BadInputError, match="--max-memory: the confirmation of s: a trial of lora"):
        confirmation_driver(driver)
    assert not (home / "s-confirm").exists()
    keep_limits(driver.folder.path, Limits(max_memory_bytes=10**12), None)
    assert limits_of(confirmed(driver).folder.path).max_memory_bytes == 10**12


def test_a_confirmation_of_a_search_without_limits_has_none(home: Path, runs: Runs) -> None:
    driver = search_in(home)
    driver.run()
    confirmation = confirmed(driver)
    assert limits_of(confirmation.folder.path) == Limits()
    assert has_time_for(confirmation)
