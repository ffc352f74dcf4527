"""More trials for a search: in its files, for whoever runs it; refused where they are decided."""

from __future__ import annotations

import socket
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sweeper.errors import BadInputError
from sweeper.experiment.loading import build_sweep, load_sweep
from sweeper.tracking.owner import REVISIONS_FILE, DriverWord, note_life
from sweeper.tracking.owner.extending import extend
from sweeper.tracking.places import write_space
from sweeper.tracking.stored import ConfirmedSearch
from sweeper.tracking.sweep_folder import SweepFolder
from tests.places import SPACES


def search(home: Path, **sections: Any) -> SweepFolder:
    document = {"search": {"trials": 8}, **sections}
    return SweepFolder.create(home, "night", document=document)


def test_a_search_that_has_ended_waits_for_its_resume(tmp_path: Path) -> None:
    sweep = search(tmp_path)
    sweep.mark("complete")
    found = extend(sweep, trials=20)
    assert found.document() == {
        "sweep": "night",
        "trials_before": 8,
        "trials": 28,
        "is_running": False,
    }
    assert found.sentence == (
        "Sweep night is to have 28 trials in the place of 8: 'resume night' runs them."
    )
    assert sweep.document["search"]["trials"] == 28
    assert (sweep.status, sweep.note) == ("stopped", "It was extended from 8 to 28 trials.")
    assert extend(sweep, trials=2).trials == 30


def test_the_driver_of_a_running_search_is_left_to_say_how_it_stands(tmp_path: Path) -> None:
    sweep = search(tmp_path)
    sweep.mark("running")
    now = datetime.now(UTC)
    word = DriverWord(id="d" * 12, host=socket.gethostname(), pid=7, started_at=now, said_at=now)
    with sweep.lock():
        note_life(sweep.path, word)
        found = extend(sweep, trials=1)
    assert "its driver takes them up when those before have ended" in found.sentence
    assert sweep.status == "running"


def test_a_driver_that_has_said_how_the_sweep_ended_takes_nothing_up(tmp_path: Path) -> None:
    sweep = search(tmp_path)
    sweep.mark("complete")
    with sweep.lock():
        # It has just begun, and has not marked the sweep yet.
        assert extend(sweep, trials=1).is_running
        assert sweep.status == "complete"
        sweep.mark("running")
        sweep.mark("complete")
        assert extend(sweep, trials=1).sentence.endswith("'resume night' runs them.")
    assert (sweep.status, sweep.note) == ("stopped", "It was extended from 9 to 10 trials.")


def test_two_that_extend_at_once_both_count(tmp_path: Path) -> None:
    sweep = search(tmp_path)
    threads = [
        threading.Thread(target=lambda: extend(SweepFolder(sweep.path), trials=1)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sweep.document["search"]["trials"] == 12


def test_what_it_runs_again_has_the_trials_too(tmp_path: Path) -> None:
    sweep = load_sweep(SPACES / "masa.yaml", profile="embedded")
    folder = SweepFolder.create(tmp_path, "one", document=sweep.document)
    path = write_space(folder.path, folder.document)
    before = sweep.spec.search.trials
    extend(folder, trials=5)
    assert load_sweep(path).spec.search.trials == before + 5
    again = build_sweep(folder.document, source="one")
    assert again.spec.search.trials == before + 5
    # A trial is what it was: how many there are is not part of it.
    assert again.space.any_trial().identity() == sweep.space.any_trial().identity()


@pytest.mark.parametrize("trials", [0, -1, 100_000])
def test_a_number_that_is_none_changes_nothing(tmp_path: Path, trials: int) -> None:
    sweep = search(tmp_path)
    with pytest.raises(BadInputError, match=rf"--trials: got {trials}, .*100,000 in all; give"):
        extend(sweep, trials=trials)
    assert not (sweep.path / REVISIONS_FILE).exists()


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"design": {"kind": "grid"}}, "is a design, .* --set design.seeds=NUMBER'"),
        ({"trials": [{"name": "a"}]}, "is a list of trials, .*takes over what is trained: 'run"),
    ],
)
def test_what_decides_its_trials_before_it_starts_is_refused(
    tmp_path: Path, sections: dict[str, Any], message: str
) -> None:
    sweep = search(tmp_path, **sections)
    sweep.mark("complete")
    with pytest.raises(BadInputError, match=message):
        extend(sweep, trials=2)
    assert not (sweep.path / REVISIONS_FILE).exists()
    assert sweep.status == "complete"


def test_a_confirmation_is_refused(tmp_path: Path) -> None:
    of = ConfirmedSearch(name="night", sweep_id="0" * 32)
    sweep = SweepFolder.create(tmp_path, "night-confirm", document={}, confirms=of)
    with pytest.raises(BadInputError, match=r"set search\.confirm\.seeds in the file"):
        extend(sweep, trials=2)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    sweep = search(tmp_path)
    (sweep.path / REVISIONS_FILE).mkdir()
    with pytest.raises(BadInputError, match="not a regular file"):
        extend(sweep, trials=2)
