"""What a sweep would run: trials, parameters, memory, resources. Nothing is started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sweeper.errors import BadInputError
from sweeper.loading import Sweep
from sweeper.space import MethodSpace, Point
from sweeper.spec import EngineSpec, TrialSpec
from sweeper.study import preview

__all__ = ["Memory", "Plan", "PlannedTrial", "params_of", "plan_of"]

BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}


@dataclass(frozen=True)
class PlannedTrial:
    """One trial of a plan."""

    id: str
    number: int
    origin: str
    """``baseline``, ``grid``, ``random``, or ``search``: stands in for a point that depends on
    results."""
    method: str
    params: dict[str, Any]
    """The method's fields, and the searched fields of training."""
    trainable: int
    """Trainable parameters."""
    percent: float
    """100 * trainable / (base + trainable), as the papers count."""


@dataclass(frozen=True)
class Memory:
    """Bytes that one worker needs, by formula; the activations are an estimate."""

    weights_bytes: int
    trained_state_bytes: int
    """Adapter, gradients, optimiser state of the largest trial."""
    activations_bytes: int

    @property
    def total_bytes(self) -> int:
        """Their sum."""
        return self.weights_bytes + self.trained_state_bytes + self.activations_bytes


@dataclass(frozen=True)
class Plan:
    """A sweep before it starts."""

    sweep: Sweep
    trials: tuple[PlannedTrial, ...]
    memory: Memory
    missing: str
    """What is missing of the model or the data; empty where all is there."""

    def document(self) -> dict[str, Any]:
        """Returns the plan as one JSON document."""
        spec = self.sweep.spec
        return {
            "space": spec.name,
            "profile": spec.profile,
            "objective": spec.objective.model_dump(mode="json"),
            "search": spec.search.model_dump(mode="json"),
            "resources": spec.resources.model_dump(mode="json"),
            "memory": {
                "weights_bytes": self.memory.weights_bytes,
                "trained_state_bytes": self.memory.trained_state_bytes,
                "activations_estimate_bytes": self.memory.activations_bytes,
            },
            "missing": self.missing or None,
            "trials": [
                {
                    "id": trial.id,
                    "number": trial.number,
                    "origin": trial.origin,
                    "method": trial.method,
                    "params": trial.params,
                    "trainable": trial.trainable,
                    "percent": trial.percent,
                }
                for trial in self.trials
            ],
        }


def plan_of(sweep: Sweep) -> Plan:
    """Returns the plan of a sweep; that model or data is missing is part of it, not an error."""
    fingerprint = missing = ""
    try:
        sweep.spec.model.check()
        sweep.spec.data.check()
        fingerprint = sweep.spec.data.fingerprint()
    except BadInputError as error:
        missing = str(error)
    points = preview(sweep.space, sweep.spec.search)
    origins = _origins(sweep, [certain for _, certain in points])
    trials = tuple(
        _planned(sweep, point, number=number, origin=origin, data_fingerprint=fingerprint)
        for number, ((point, _), origin) in enumerate(zip(points, origins, strict=True))
    )
    largest = max((trial.trainable for trial in trials), default=0)
    specs = [sweep.space.trial(point) for point, _ in points]
    return Plan(sweep, trials, _memory(specs[0], largest), missing)


def _origins(sweep: Sweep, certain: list[bool]) -> list[str]:
    baselines = len(sweep.space.baselines)
    has_grid = bool(sweep.space.cells())
    return [
        "baseline"
        if number < baselines
        else "grid"
        if has_grid
        else "random"
        if is_certain
        else "search"
        for number, is_certain in enumerate(certain)
    ]


def _planned(
    sweep: Sweep, point: Point, *, number: int, origin: str, data_fingerprint: str
) -> PlannedTrial:
    trial = sweep.space.trial(point)
    shape = trial.model.shape()
    trainable = trial.method.count(shape)
    return PlannedTrial(
        id=trial.identity(data_fingerprint=data_fingerprint),
        number=number,
        origin=origin,
        method=trial.method.name,
        params=params_of(trial, sweep.space.method(trial.method.name)),
        trainable=trainable,
        percent=100 * trainable / (shape.total_parameters + trainable),
    )


def params_of(trial: TrialSpec, space: MethodSpace) -> dict[str, Any]:
    """Returns the method's fields and the searched fields of training, by their bare names."""
    params = trial.method.model_dump(mode="json", exclude={"name"})
    train = trial.train.model_dump(mode="json")
    searched = [axis.path[-1] for axis in space.axes if axis.path[0] == "train"]
    return {
        **params,
        "learning_rate": train["learning_rate"],
        **{key: train[key] for key in searched},
    }


def _memory(trial: TrialSpec, trainable: int) -> Memory:
    engine, workers = trial.engine, trial.workers
    shape, config = trial.model.shape(), trial.model.config()
    weights = shape.total_parameters * BYTES[engine.precision]
    if engine.zero_stage == 3:
        weights //= workers
    tokens = trial.train.batch_size * trial.train.max_length
    width = int(config["hidden_size"])
    # Per layer and token: with checkpointing its input; without, what autograd keeps of attention
    # and the feed-forward block, about 16 widths and 4 inner widths.
    inner = int(config.get("intermediate_size", 4 * width))
    per_layer = width if engine.gradient_checkpointing else 16 * width + 4 * inner
    # Logits, their gradient and the log-softmax are kept in fp32.
    logits = 3 * 4 * tokens * int(config["vocab_size"])
    activations = tokens * shape.layers * per_layer * BYTES[engine.precision] + logits
    return Memory(weights, _trained_state(engine, trainable, workers), activations)


def _trained_state(engine: EngineSpec, trainable: int, workers: int) -> int:
    """Returns bytes of parameters, gradients and AdamW's state, all of them fp32."""
    # On a 16-bit base DeepSpeed trains 16-bit parameters and keeps a master copy of them.
    master = 0 if engine.precision == "fp32" else 4
    # From this ZeRO stage on, each part is sharded over the workers.
    parts = {1: 8 + master, 2: 4, 3: 4}
    shares = (
        size / (workers if engine.zero_stage >= stage else 1) for stage, size in parts.items()
    )
    return int(trainable * sum(shares))
