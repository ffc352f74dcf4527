"""What is proposed for a model and data that were looked at, each value with its reason."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any

from sweeper._text import bytes_text, count
from sweeper.data.formats import TextFormat
from sweeper.experiment.space.published_rates import published_rates, usual_rate
from sweeper.experiment.trial import EngineSpec, TrainSpec, TrialSpec
from sweeper.models.shapes import injection_problem
from sweeper.preflight.model import memory_of, memory_there
from sweeper.preflight.start.looking import Look
from sweeper_adapters.methods import LoraSpec

__all__ = ["Proposed", "propose"]

# Sequences of one optimiser step, as in LLM-Adapters' and both papers' settings for short rows.
_BATCH = 16
_PASSES = 3
# A first answer comes within minutes; a final one may take longer.
_MOST_STEPS = 500
_LEAST_STEPS = 40
# Lengths are multiples of it: kernels like them, and a row more or less changes nothing.
_LENGTH_STEP = 16
# A longest row that is so many times the 95th percentile is an outlier, for which all would pay.
_OUTLIER = 2
_USUAL_LENGTH = 2048
# A longer text is parted, and nothing of it is lost.
_TEXT_LENGTH = 512
# The estimate of the activations is rough.
_SHARE_OF_MEMORY = 0.5
# Around a rule's rate: the best one of the methods here was within a factor of three of it.
_BELOW, _ABOVE = 10, 10
_LARGE = 100_000_000


@dataclass(frozen=True)
class Proposed:
    """A first setting.

    Attributes:
        targets: Linear layers of a decoder layer that get an adapter.
        left_out: Those that can have none: too narrow, or every name of theirs means stacked
            weights of experts, too.
        is_sized: Whether a budget can size the methods: all layers are alike.
        max_length: Tokens of the longest row that is not cut.
        cut: Share of the rows that are cut, from 0 to 1.
        batch_size: Sequences of a micro-batch.
        accumulation: Micro-batches of an optimiser step.
        steps: Optimiser steps.
        passes: Over the training rows, in these steps.
        rates: Lowest and highest learning rate.
        rates_from: Where they come from.
        precision: Dtype of the base.
        gpus: Of a worker.
        cpus: Of a worker.
        needs: Memory of a worker by formula, in words.
    """

    targets: tuple[str, ...]
    left_out: tuple[str, ...]
    is_sized: bool
    max_length: int
    cut: float
    batch_size: int
    accumulation: int
    steps: int
    passes: float
    rates: tuple[float, float]
    rates_from: str
    precision: str
    gpus: int
    cpus: int
    needs: str

    def document(self) -> dict[str, Any]:
        """Returns it as plain JSON."""
        return {
            "targets": list(self.targets),
            "left_out": list(self.left_out),
            "max_length": self.max_length,
            "cut": self.cut,
            "batch_size": self.batch_size,
            "gradient_accumulation": self.accumulation,
            "steps": self.steps,
            "passes": self.passes,
            "learning_rate": list(self.rates),
            "rates_from": self.rates_from,
            "precision": self.precision,
            "needs": self.needs,
        }


def propose(look: Look) -> Proposed:
    """Returns a first setting for a model and data."""
    import torch

    gpus = 1 if torch.cuda.is_available() else 0
    parameters = look.facts.shape.total_parameters
    length = _length(look)
    precision = "bf16" if gpus else "fp32"
    targets, left_out = _targets(look)
    batch, needs = _batch(look, targets, length, precision=precision, gpus=gpus)
    accumulation = _BATCH // batch
    sequences = _sequences(look, length)
    one_pass = math.ceil(sequences / _BATCH)
    steps = max(_LEAST_STEPS, min(_MOST_STEPS, _PASSES * one_pass))
    rates, rates_from = _rates(look.facts.width, parameters)
    return Proposed(
        targets=targets,
        left_out=left_out,
        is_sized=look.facts.are_layers_alike,
        max_length=length,
        cut=look.lengths.longer_than(length),
        batch_size=batch,
        accumulation=accumulation,
        steps=steps,
        passes=steps * _BATCH / sequences,
        rates=rates,
        rates_from=rates_from,
        precision=precision,
        gpus=gpus,
        cpus=min(4, os.cpu_count() or 1) if parameters >= _LARGE else 1,
        needs=needs,
    )


def _targets(look: Look) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the names of the linear layers that can have an adapter, and of those that cannot.

    The short name of a layer may mean stacked weights of experts, too; a longer one does not. A
    layer may be too narrow, such as a gate of one output.
    """
    linears = look.facts.shape.linears
    names = tuple(linear.name for linear in linears)
    if _is_placed(look, names):
        return names, ()
    found = {x.name: [n for n in (x.name, x.path) if n and _is_placed(look, (n,))] for x in linears}
    targets = tuple(own[0] for own in found.values() if own)
    return targets or names, tuple(name for name, own in found.items() if not own)


def _is_placed(look: Look, targets: tuple[str, ...]) -> bool:
    # LoRA is the strictest: PEFT itself may put its adapters elsewhere.
    method = LoraSpec(targets=targets)
    if method.problems(look.facts.shape):
        return False
    return not injection_problem(look.model.config(), method)


def _length(look: Look) -> int:
    """Returns the length of the longest row, or, where it is an outlier, what 99 % have."""
    found = look.lengths
    is_usual = found.longest <= max(_OUTLIER * found.p95, _LENGTH_STEP)
    wanted = found.longest if is_usual and found.longest <= _USUAL_LENGTH else found.p99
    if isinstance(look.data.format, TextFormat):
        wanted = min(wanted, _TEXT_LENGTH)
    rounded = math.ceil(wanted / _LENGTH_STEP) * _LENGTH_STEP
    return rounded if look.positions is None else max(8, min(rounded, look.positions))


def _sequences(look: Look, length: int) -> float:
    """Returns the sequences of one pass: rows, or of plain text the parts of its rows."""
    rows = look.rows["train"]
    if not isinstance(look.data.format, TextFormat):
        return rows
    # The first token of a part is the begin-of-text one, or the last of the part before.
    parts = [max(1, math.ceil((tokens - 1) / (length - 1))) for tokens in look.lengths.each]
    return rows * sum(parts) / len(parts)


def _batch(
    look: Look, targets: tuple[str, ...], length: int, *, precision: str, gpus: int
) -> tuple[int, str]:
    """Returns the largest micro-batch that has room in half of the memory, and what it needs."""
    room = memory_there(on_gpu=gpus > 0)
    method = LoraSpec(targets=targets)
    trainable = look.model.trainable(method)
    size = _BATCH
    while True:
        trial = TrialSpec(
            method=method,
            train=TrainSpec(steps=4, learning_rate=1e-4, batch_size=size, max_length=length),
            model=look.model,
            data=look.data,
            engine=EngineSpec.model_validate({"precision": precision}),
        )
        memory = memory_of(trial, trainable)
        needed = memory.weights_bytes + memory.trained_state_bytes + memory.activations_bytes
        if size == 1 or room is None or needed <= _SHARE_OF_MEMORY * room:
            there = "" if room is None else f" of {bytes_text(room)}"
            return size, f"about {bytes_text(needed)}{there} by formula"
        size //= 2


def _rates(width: int, parameters: int) -> tuple[tuple[float, float], str]:
    """Returns a range of learning rates for a model, and where it comes from."""
    usual = usual_rate(width)
    low, high = usual / _BELOW, usual * _ABOVE
    known = published_rates(parameters)
    if known is None:
        said = "nothing is published for models of less than 100 million parameters"
    else:
        low, high = min(known.low, usual), max(known.high, 3 * usual)
        said = f"published for {known.size}: {known.low:g} to {known.high:g}"
    ends = float(f"{low:.2g}"), float(f"{high:.2g}")
    rule = f"a rule for LoRA gives {usual:g} at {count(width, 'channel')}"
    return ends, f"{rule}; {said}"
