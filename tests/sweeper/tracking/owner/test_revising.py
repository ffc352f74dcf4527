"""A space that its owner changes while the sweep lives: what may change, what is kept of it."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sweeper.errors import BadInputError
from sweeper.experiment.loading import build_sweep, load_sweep
from sweeper.tracking.owner import REVISIONS_FILE, DriverWord, note_life
from sweeper.tracking.owner.extending import extend
from sweeper.tracking.owner.outside import outside_of, space_revisions
from sweeper.tracking.owner.revising import describe, revise
from sweeper.tracking.places import write_space
from sweeper.tracking.sweep_folder import SweepFolder
from tests.places import SPACES

RATES = "train.learning_rate={loguniform: [1e-3, 1e-2]}"


@pytest.fixture
def sweep(tmp_path: Path) -> SweepFolder:
    document = load_sweep(SPACES / "masa.yaml", profile="embedded").document
    folder = SweepFolder.create(tmp_path, "night", document=document)
    write_space(folder.path, folder.document)
    return folder


def add(sweep: SweepFolder, number: int, *, rate: float) -> str:
    """A trial of LoRA with a learning rate."""
    space = build_sweep(sweep.document, source="it").space
    trial = space.trial({"method": "lora", "lora.rank": 8, "train.learning_rate": rate})
    spec = trial.model_dump(mode="json")
    trial_id = trial.identity()
    sweep.add_trial(trial_id, spec=spec, number=number, method="lora")
    return trial_id


def test_a_range_gets_narrower_and_the_document_stays_as_it_was(sweep: SweepFolder) -> None:
    before = sweep.about().document
    found = revise(sweep, [RATES])
    (change,) = [x for x in found.changes if x.path[0] == "train"]
    assert change.path == ("train", "learning_rate")
    assert change.after == {"loguniform": [1e-3, 1e-2]}
    assert sweep.document["train"]["learning_rate"] == {"loguniform": [1e-3, 1e-2]}
    assert SweepFolder(sweep.path).about().document == before
    # What it runs again is what it runs now.
    assert load_sweep(sweep.path / "search_space.yaml").document["train"] == sweep.document["train"]
    (revision,) = space_revisions(sweep)
    assert (revision.asked, revision.first_number) == ((RATES,), 0)
    assert "train.learning_rate from loguniform" in describe(revision) or "from {" in describe(
        revision
    )


def test_a_method_is_addressed_by_its_name(sweep: SweepFolder) -> None:
    revise(sweep, ["methods.lora.rank={choice: [4, 8, 16]}", "methods.masa.experts={int: [2, 8]}"])
    space = build_sweep(sweep.document, source="it").space
    axes = {axis.name: axis.distribution for method in space.methods for axis in method.axes}
    assert axes["lora.rank"].values() == (4, 8, 16)
    assert list(axes["masa.experts"].values() or ()) == [2, 3, 4, 5, 6, 7, 8]


def test_more_trials_and_another_space_go_together(sweep: SweepFolder) -> None:
    trials = sweep.document["search"]["trials"]
    extend(sweep, trials=3)
    revise(sweep, [RATES])
    extend(sweep, trials=2)
    revise(sweep, ["search.asha={grace: 1, reduction: 4}"])
    assert sweep.document["search"]["trials"] == trials + 5
    assert sweep.document["search"]["asha"] == {"grace": 1, "reduction": 4}
    assert sweep.document["train"]["learning_rate"] == {"loguniform": [1e-3, 1e-2]}
    assert len(space_revisions(sweep)) == 2


def test_what_is_so_already_is_no_revision(sweep: SweepFolder) -> None:
    revise(sweep, [RATES])
    found = revise(sweep, [RATES])
    assert found.changes == ()
    assert "nothing was changed" in found.sentence
    assert len(space_revisions(sweep)) == 1


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("model.path=elsewhere", "could not be compared"),
        ("data.seed=3", "could not be compared"),
        ("objective.metric=accuracy", "could not be compared"),
        ("search.seed=3", "could not be compared"),
        ("train.steps=999", "could not be compared"),
        ("methods.lora.alpha=32", "could not be compared"),
        ("methods.lora.name=dora", "could not be compared"),
        ("search.stop=racing", "could not be compared"),
        ("search.confirm.seeds=9", "could not be compared"),
        ("search.trials=99", "'extend night --trials NUMBER'"),
        ("train.learning_rate=1e-3", "for a single value give a choice of one"),
        ("methods.lora.rank={grid: [8, 16]}", "a field that is drawn stays so"),
        ("train.learning_rate={loguniform: [1e-2, 1e-3]}", "is empty"),
        ("methods.nora.rank={choice: [8]}", "no method 'nora'"),
        ("nothing", "write path=value|has begun"),
        # One pair of quotes, so that the command can be copied.
        ("search.from=[lim]", r"alike: run \S+ --set 'search\.from=\[lim\]'; or train"),
    ],
)
def test_what_would_not_do_is_refused_and_changes_nothing(
    sweep: SweepFolder, override: str, reason: str
) -> None:
    before = sweep.document
    with pytest.raises(BadInputError, match=reason):
        revise(sweep, [RATES, override])
    assert not (sweep.path / REVISIONS_FILE).exists()
    assert sweep.document == before


@pytest.mark.parametrize("section", ["design", "trials"])
def test_a_design_has_no_range_to_change(tmp_path: Path, section: str) -> None:
    folder = SweepFolder.create(tmp_path, "night", document={section: {}, "methods": []})
    with pytest.raises(BadInputError, match="decided before its start"):
        revise(folder, [RATES])


def test_a_running_driver_is_said_to_take_it_up(sweep: SweepFolder) -> None:
    now = datetime.now(UTC)
    word = DriverWord(id="d" * 12, host=socket.gethostname(), pid=7, started_at=now, said_at=now)
    with sweep.lock():
        note_life(sweep.path, word)
        found = revise(sweep, [RATES])
    assert found.is_running
    assert "its driver draws from the new space at its next trial" in found.sentence


def test_trials_outside_are_known_once_the_space_was_changed(sweep: SweepFolder) -> None:
    low, middle = add(sweep, 0, rate=2e-4), add(sweep, 1, rate=2e-3)
    assert outside_of(sweep, sweep.trials()) == frozenset()
    found = revise(sweep, [RATES])
    assert found.document()["is_running"] is False
    assert outside_of(sweep, sweep.trials()) == {low}
    (revision,) = space_revisions(sweep)
    assert revision.first_number == 2
    revise(sweep, ["train.learning_rate={loguniform: [1e-4, 1e-3]}"])
    assert outside_of(sweep, sweep.trials()) == {middle}
