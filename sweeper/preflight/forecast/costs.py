"""What trials cost, each by one like it that was measured, or by formula."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from sweeper._files import write_json
from sweeper.errors import DamagedFileError
from sweeper.experiment.trial import TrialSpec
from sweeper.preflight.model.memory import memory_of
from sweeper.tracking.stored import read_stored

__all__ = [
    "COSTS_FILE",
    "Costs",
    "KnownCost",
    "TrialCost",
    "kept_costs",
    "note_costs",
    "step_operations",
]

COSTS_FILE = "costs.json"
"""Name of the file with what the trials of a sweep cost by the forecast, where it has limits."""

_Source = Literal["calibrated", "scaled", "computed"]
"""How a cost is known: measured on a few real steps of the trial's method; by operations from such
steps of another one; or from operations and rates alone."""


class KnownCost(BaseModel):
    """What one trial costs, as it was measured or computed."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    method: str
    """Label of its method."""
    source: Literal["calibrated", "computed"]
    """How it is known."""
    operations: float = Field(gt=0)
    """Of one of its micro-batches, by formula."""
    activations_bytes: float = Field(ge=0)
    """Of one, and the trained state, by formula."""
    micro_batch_s: float = Field(gt=0)
    """Seconds of a step with one micro-batch."""
    low: float = Field(gt=0, le=1)
    """Factor of the times that the true ones are hardly below."""
    high: float = Field(ge=1)
    """Factor that they are hardly above."""
    evaluation_s: float = Field(ge=0)
    """Seconds of an evaluation in training."""
    evaluation_rows: int = Field(ge=1)
    """Rows of it."""
    checkpoint_s: float = Field(ge=0)
    """Seconds of a checkpoint."""
    overhead_s: float = Field(ge=0)
    """Seconds of the rest."""
    peak_bytes: float = Field(ge=0)
    """Most memory of a worker."""
    disk_bytes: float = Field(ge=0)
    """Of the trial's folder."""


class TrialCost(BaseModel):
    """What a trial is forecast to cost."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: _Source
    """How it is known."""
    step_s: float
    """Seconds of an optimiser step, all of its micro-batches."""
    step_low_s: float
    """What the true time is hardly below."""
    step_high_s: float
    """What it is hardly above."""
    evaluation_s: float
    """Seconds of an evaluation in training and its checkpoint."""
    trial_s: float
    """Seconds of the whole trial, trained to its end."""
    peak_bytes: float
    """Most memory of a worker."""
    disk_bytes: float
    """Of the trial's folder."""

    def part_s(self, trial: TrialSpec, steps: int) -> float:
        """Returns the seconds of the first steps of the trial, evaluations among them."""
        return self.trial_s * steps / trial.train.steps


# Of a method that was not measured itself: a step of the slowest took about so many times that of
# LoRA by operations, the fastest so little of it (docs/measurements/steps.md).
_OTHER_LOW, _OTHER_HIGH = 0.6, 1.8
# Steps that are written as lines of metrics.
_LINE_BYTES = 160


class Costs(BaseModel):
    """What the trials of a sweep cost; kept with a sweep whose time is limited."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    known: tuple[KnownCost, ...] = Field(min_length=1)
    """Trials whose costs are known."""
    base_bytes: float = Field(ge=0)
    """Memory of a worker before its first trial."""
    load_s: float = Field(ge=0)
    """Seconds until a worker has the base."""
    around_bytes: float = Field(default=0, ge=0)
    """Memory that Ray takes in a worker besides."""
    rates: str = ""
    """What computed times rest on, or that the machine was busy; else empty."""

    def of(self, trial: TrialSpec) -> TrialCost:
        """Returns what a trial costs.

        Args:
            trial: of the sweep.
        """
        operations, activations = step_operations(trial), _activations(trial)
        label = trial.method.label
        same = [x for x in self.known if x.method == label]
        nearest = min(same or self.known, key=lambda x: abs(x.operations - operations))
        ratio = operations / nearest.operations
        low, high = nearest.low, nearest.high
        source: _Source = nearest.source
        if not same and nearest.source == "calibrated":
            low, high, source = low * _OTHER_LOW, high * _OTHER_HIGH, "scaled"
        step_s = nearest.micro_batch_s * ratio * trial.engine.gradient_accumulation
        rows = trial.train.eval_examples / nearest.evaluation_rows
        # Without a backward pass the adapter matters less, but not the rows and their length.
        each_s = nearest.evaluation_s * rows * (1.0 if same else ratio) + nearest.checkpoint_s
        whole_s = nearest.overhead_s + trial.train.steps * step_s
        above = max(0.0, nearest.peak_bytes - self.base_bytes)
        scale = activations / nearest.activations_bytes if nearest.activations_bytes else 1.0
        return TrialCost(
            source=source,
            step_s=step_s,
            step_low_s=low * step_s,
            step_high_s=high * step_s,
            evaluation_s=each_s,
            trial_s=whole_s + trial.train.evaluations * each_s,
            peak_bytes=self.around_bytes + self.base_bytes + above * scale,
            disk_bytes=nearest.disk_bytes * max(1.0, ratio) + _LINE_BYTES * trial.train.steps,
        )


class _Stored(BaseModel):
    """``costs.json``."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    costs: Costs


def note_costs(folder: Path, costs: Costs) -> None:
    """Writes what the trials of a sweep cost; OSError where that cannot be written.

    Args:
        folder: of the sweep.
        costs: of its trials.
    """
    write_json(folder / COSTS_FILE, _Stored(costs=costs).model_dump(mode="json"))


def kept_costs(folder: Path) -> Costs:
    """Returns what the trials of a sweep with limits cost.

    Args:
        folder: of the sweep.

    Raises:
        DamagedFileError: the file cannot be read, or is not there.
    """
    found = read_stored(folder / COSTS_FILE, _Stored)
    if found is None:
        raise DamagedFileError(folder / COSTS_FILE, "it is missing")
    return found.costs


def _activations(trial: TrialSpec) -> float:
    memory = memory_of(trial, trial.model.trainable(trial.method))
    return float(memory.activations_bytes + memory.trained_state_bytes)


def step_operations(trial: TrialSpec) -> float:
    """Returns the operations of a step with one micro-batch, two a multiplication and addition.

    A frozen weight takes two products with each token, for the output and for the gradient of the
    input, a trained one a third, for its own gradient; attention takes four in the forward pass and
    eight in the backward. With checkpointing the forward pass is taken twice. Padding counts:
    every row is taken to have ``max_length`` tokens, so that it is for ratios, and an upper bound.

    Args:
        trial: on its model.
    """
    facts, train = trial.model.facts(), trial.train
    tokens = train.batch_size * train.max_length
    # The embedding is looked up; the head is a product, and may have the embedding's weights.
    is_tied = bool(trial.model.config().get("tie_word_embeddings"))
    looked_up = 0 if is_tied else facts.vocabulary * facts.width
    frozen = max(facts.shape.total_parameters - looked_up, 1)
    trained = trial.model.trainable(trial.method)
    forward = 2 * (frozen + trained) + 4 * facts.shape.layers * train.max_length * facts.width
    backward = 2 * frozen + 4 * trained + 8 * facts.shape.layers * train.max_length * facts.width
    times = 2 if trial.engine.gradient_checkpointing else 1
    return float(tokens * (times * forward + backward))
