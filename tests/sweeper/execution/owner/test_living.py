"""A sweep that is looked at for changes of its owner's."""

from __future__ import annotations

from pathlib import Path

from sweeper.execution.owner import LivingSweep
from sweeper.experiment.loading import load_sweep
from sweeper.tracking.owner.extending import extend
from sweeper.tracking.owner.revising import revise
from sweeper.tracking.sweep_folder import SweepFolder
from tests.places import SPACES


def test_a_changed_space_is_returned_once_and_more_trials_are_none(tmp_path: Path) -> None:
    document = load_sweep(SPACES / "masa.yaml", profile="embedded").document
    folder = SweepFolder.create(tmp_path, "night", document=document)
    living = LivingSweep(folder)
    assert (living.changed(), living.revision) == (None, 0)
    extend(folder, trials=2)
    assert living.changed() is None
    revise(folder, ["methods.lora.rank={choice: [4]}"])
    found = living.changed()
    assert found is not None
    (axis,) = [x for x in found.space.method("lora").axes if x.name == "lora.rank"]
    assert axis.distribution.values() == (4,)
    assert (living.changed(), living.revision) == (None, 1)
    # The next driver begins with it.
    assert LivingSweep(folder).revision == 1
