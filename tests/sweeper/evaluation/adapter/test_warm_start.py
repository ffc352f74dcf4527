"""A clone's adapter begins with its parent's tensors, where their shapes agree."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
from peft import get_peft_model_state_dict
from safetensors.torch import load_file

from sweeper.errors import TrialError
from sweeper.evaluation.adapter.warm_start import agreement, saved_shapes, start_from_parent
from sweeper.tracking.owner.clones import ClonedFrom, add_clone
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import TrialFolder
from sweeper.training.trial import train
from sweeper_adapters.methods import Method
from tests.adapters.specs import SPECS
from tests.sweeper import exported, scenarios, tiny


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported.make_world(tmp_path_factory.mktemp("world"))


def parent_in(sweep: SweepFolder, trial: TrialFolder) -> ClonedFrom:
    return ClonedFrom(
        trial=trial.id,
        name="trial 0",
        folder=f"trials/{trial.id}",
        steps=exported.STEPS,
        at=datetime.now(UTC),
    )


def cloned(world: Path, home: Path, method: Method) -> TrialFolder:
    """The folder of a clone, beside a trial with an adapter of random values."""
    sweep = SweepFolder.create(home, "one", document=exported.DOCUMENT)
    trial = exported.made(sweep, exported.trial(method, world))
    return add_clone(
        sweep,
        "c" * 12,
        spec={},
        method=method.name,
        params={},
        steps_total=2,
        parent=parent_in(sweep, trial),
    )


@pytest.mark.parametrize("name", ["lora", "masa", "mosa", "dora", "hydralora"])
def test_an_adapter_of_the_same_shape_is_taken_whole(
    name: str, world: Path, tmp_path: Path
) -> None:
    method = SPECS[name]
    clone = cloned(world, tmp_path, method)
    model = method.inject(exported.base_of(world), seed=1)
    start_from_parent(model, clone.path)
    (adapter,) = tmp_path.glob("one/trials/*/adapter/adapter_model.safetensors")
    wanted = load_file(adapter)
    found = get_peft_model_state_dict(model, save_embedding_layers=False)
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        assert torch.equal(found[key], value), key


def test_what_has_another_shape_begins_anew(world: Path, tmp_path: Path) -> None:
    small, large = SPECS["lora"], SPECS["lora"].model_copy(update={"rank": 8})
    clone = cloned(world, tmp_path, small)
    model = large.inject(exported.base_of(world), seed=1)
    with pytest.raises(TrialError, match="no tensor of this clone's adapter has the shape"):
        start_from_parent(model, clone.path)
    # Where one layer alone has another rank, the rest is taken.
    own = {"a": (4, 32), "b": (4, 32), "c": (2,)}
    taken, left = agreement(own, {"a": (4, 32), "b": (8, 32)})
    assert taken == ("a",)
    assert left == {
        "b": "it is [4, 32], the parent's is [8, 32]",
        "c": "the parent has none of this name",
    }


def test_a_parent_that_is_gone_is_missed(world: Path, tmp_path: Path) -> None:
    clone = cloned(world, tmp_path, SPECS["lora"])
    (adapter,) = tmp_path.glob("one/trials/*/adapter/adapter_model.safetensors")
    assert saved_shapes(adapter.parent)
    adapter.unlink()
    model = SPECS["lora"].inject(exported.base_of(world), seed=1)
    with pytest.raises(TrialError, match=r"bring .* back"):
        start_from_parent(model, clone.path)


def train_parent_and_clone(folder: str) -> tuple[float, float, float]:
    """Returns the last loss of a trial, the first of its clone, and that of one that is none."""
    sweep = SweepFolder.create(folder, "one", document=exported.DOCUMENT)
    base, spec = tiny.base(), tiny.trial("lora", workers=1)
    parent = exported.add(sweep, spec, number=0)
    before = tiny.Recorded()
    train(spec, base, folder=parent.path, progress=before)
    # Rates so small that nothing is learnt: what is evaluated is the start.
    still = spec.model_copy(update={"train": spec.train.model_copy(update={"learning_rate": 1e-9})})
    made = add_clone(
        sweep,
        "c" * 12,
        spec=still.model_dump(mode="json"),
        method="lora",
        params={},
        steps_total=still.train.steps,
        parent=parent_in(sweep, parent),
    )
    losses = []
    for place in (made.path, Path(folder) / "fresh"):
        progress = tiny.Recorded()
        train(still, base, folder=place, progress=progress)
        losses.append(progress.reports[-1][1]["eval_loss"])
    return before.reports[-1][1]["eval_loss"], losses[0], losses[1]


def test_a_clone_goes_on_from_the_loss_of_its_parent(tmp_path: Path) -> None:
    ((parent, clone, fresh),) = scenarios.run(train_parent_and_clone, 1, str(tmp_path))
    assert clone == pytest.approx(parent, abs=1e-4)
    assert abs(fresh - parent) > 1e-2
