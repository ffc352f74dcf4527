"""Commands by which the owner of a sweep changes what it does."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sweeper.cli import app
from sweeper.cli.commands.owner import revised
from sweeper.errors import BadInputError
from sweeper.execution.owner.watch import OwnerWatch
from sweeper.experiment.loading import load_sweep
from sweeper.search import open_study
from sweeper.search.study import mark_exhausted
from sweeper.tracking import mirror
from sweeper.tracking.databases import StudyPlace
from sweeper.tracking.owner import pending
from sweeper.tracking.places import write_space
from sweeper.tracking.sweep_folder import SweepFolder
from tests.places import SPACES

runner = CliRunner()


@pytest.fixture
def sweep(tmp_path: Path) -> SweepFolder:
    document = load_sweep(SPACES / "masa.yaml", profile="embedded").document
    made = SweepFolder.create(tmp_path, "night", document=document)
    made.add_trial("a" * 12, spec={}, number=0, method="lora")
    return made


def test_stop_asks_the_driver_of_a_sweep_and_of_a_trial(sweep: SweepFolder) -> None:
    home = ["--home", str(sweep.home)]
    # A watch that does not look: what it is asked stays where it is.
    watch = OwnerWatch(sweep, stage=str)
    with sweep.lock():
        watch._tell()
        asked = runner.invoke(app, ["stop", "night/0", *home])
        assert (asked.exit_code, "was asked to stop trial 0 (lora, aaaa" in asked.stdout) == (
            0,
            True,
        )
        asked = runner.invoke(app, ["stop", "night", *home])
        assert f"process {os.getpid()} on " in asked.stdout
        again = runner.invoke(app, ["stop", str(sweep.path), *home])
        assert (again.exit_code, "had been asked before" in again.stdout) == (0, True)
    found = pending(sweep.path, driver=watch._word.id)
    assert [request.trial for request in found] == ["a" * 12, None]


def test_stop_says_where_there_is_no_driver_and_no_such_thing(sweep: SweepFolder) -> None:
    home = ["--home", str(sweep.home)]
    asked = runner.invoke(app, ["stop", "night", *home])
    assert (asked.exit_code, "no driver runs sweep night" in asked.stderr) == (2, True)
    asked = runner.invoke(app, ["stop", "nights", *home])
    assert (asked.exit_code, "did you mean 'night'" in asked.stderr) == (2, True)


def test_extend_gives_a_search_more_trials(sweep: SweepFolder) -> None:
    before = sweep.document["search"]["trials"]
    command = ["extend", "night", "--trials", "4", "--home", str(sweep.home)]
    given = runner.invoke(app, command)
    assert (given.exit_code, f"{before + 4} trials in the place of {before}" in given.stdout) == (
        *(0, True),
    )
    assert sweep.document["search"]["trials"] == before + 4


def test_extend_asks_the_database_that_a_study_is_in(
    sweep: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["extend", "night", "--trials", "4", "--home", str(sweep.home)]
    (sweep.path / "study.json").write_text('{"storage": "postgresql://db/x", "name": "night-1"}')
    given = runner.invoke(app, command)
    assert given.exit_code == 2
    assert "'night' has its study at postgresql://db/x" in given.stderr
    monkeypatch.setenv("SWEEPER_OPTUNA_STORAGE", "postgresql://me:secret@127.0.0.1:1/x")
    given = runner.invoke(app, command)
    assert given.exit_code == 2
    assert "the studies' database: postgresql://127.0.0.1:1/x cannot be used" in given.stderr
    assert "secret" not in given.output


def test_an_exhausted_space_is_not_extended(sweep: SweepFolder) -> None:
    made = load_sweep(SPACES / "masa.yaml", profile="embedded")
    study = open_study(
        StudyPlace("night", sweep.path / "optuna.db"),
        objective=made.spec.objective,
        space=made.space,
        search=made.spec.search,
    )
    mark_exhausted(study)
    before = (sweep.path / "sweep.json").read_bytes()
    given = runner.invoke(app, ["extend", "night", "--trials", "4", "--home", str(sweep.home)])
    assert (given.exit_code, "widen a range or a choice" in given.stderr) == (2, True)
    assert (sweep.path / "sweep.json").read_bytes() == before


@pytest.mark.parametrize("command", [("stop",), ("extend", "--trials", "4")])
def test_a_driver_with_a_copy_of_its_own_is_not_asked(
    sweep: SweepFolder, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "driver_elsewhere", lambda path: "process 7 on far")
    before = sorted(sweep.path.rglob("*"))
    name, *options = command
    asked = runner.invoke(app, [name, "night", *options, "--home", str(sweep.home)])
    assert asked.exit_code == 2
    assert "is run by process 7 on far" in " ".join(asked.stderr.split())
    assert sorted(sweep.path.rglob("*")) == before


def test_resume_refuses_to_change_what_makes_trials_comparable(sweep: SweepFolder) -> None:
    command = ["resume", "night", "--set", "train.steps=5", "--home", str(sweep.home)]
    given = runner.invoke(app, command)
    assert (given.exit_code, "could not be compared" in given.stderr) == (2, True)
    assert not (sweep.path / "revisions.json").exists()


PRICE = "resources.price_per_hour=2"


def refuse(why: str) -> Callable[..., None]:
    def refused(*_: object, **__: object) -> None:
        raise BadInputError(why)

    return refused


@pytest.mark.parametrize(
    ("options", "refusing"),
    [
        (["--max-cost", "0.00001"], ""),
        (["--tracking-uri", "nowhere://x"], ""),
        ([], "sweeper.execution.driver.require_runnable"),
        # Where Ray does not answer, and the sweep has not gone on.
        ([], "sweeper.execution.driver.connect"),
    ],
)
def test_a_resume_that_is_refused_changes_nothing(
    sweep: SweepFolder, options: list[str], refusing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeper.cli.commands.sweep.start_fork_server", lambda _: None)
    sweep.mark("stopped")
    write_space(sweep.path, sweep.document)
    before = (sweep.path / "search_space.yaml").read_bytes()
    if refusing:
        monkeypatch.setattr(refusing, refuse("refused"))
    command = ["resume", "night", "--set", PRICE, *options, "--home", str(sweep.home)]
    given = runner.invoke(app, command)
    assert given.exit_code == 2, given.output
    assert not (sweep.path / "revisions.json").exists()
    assert (sweep.path / "search_space.yaml").read_bytes() == before
    assert sweep.document["resources"].get("price_per_hour") is None


def test_a_change_with_which_a_sweep_has_gone_on_stays(sweep: SweepFolder) -> None:
    def go_on() -> None:
        sweep.mark("running")
        raise BadInputError("a trial of the new space does not fit")

    with pytest.raises(BadInputError), revised(sweep, [PRICE]):
        go_on()
    assert sweep.document["resources"]["price_per_hour"] == 2


def test_a_change_that_is_taken_back_leaves_those_before_it(sweep: SweepFolder) -> None:
    with revised(sweep, [PRICE]):
        pass
    with pytest.raises(BadInputError), revised(sweep, ["resources.price_per_hour=3"]):
        raise BadInputError("refused")
    assert sweep.document["resources"]["price_per_hour"] == 2


def test_a_driver_that_runs_is_left_to_take_up_a_changed_space(sweep: SweepFolder) -> None:
    change = "methods.lora.rank={choice: [4, 8]}"
    command = ["resume", "night", "--set", change, "--home", str(sweep.home)]
    watch = OwnerWatch(sweep, stage=str)
    with sweep.lock():
        watch._tell()
        given = runner.invoke(app, command)
    assert given.exit_code == 0, given.output
    assert "its driver draws from the new space at its next trial" in given.stdout
    assert sweep.document["methods"][1]["rank"] == {"choice": [4, 8]}


def test_clone_names_what_of_a_trial_cannot_be_read(sweep: SweepFolder) -> None:
    given = runner.invoke(app, ["clone", "night/0", "--home", str(sweep.home)])
    assert given.exit_code == 2
    assert "spec.json is damaged" in given.stderr
