"""The memory that a sweep needs, by formula, and whether this machine has it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from sweeper._environment import ray_address
from sweeper._text import bytes_text, count
from sweeper.errors import BadInputError
from sweeper.experiment.sweep import Sweep
from sweeper.experiment.trial import EngineSpec, TrialSpec

__all__ = ["Memory", "memory_of", "memory_there", "require_memory"]

logger = logging.getLogger(__name__)

BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}

# What the kernel lets the processes of a container have: version 2 of control groups, and 1.
_GROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True)
class Memory:
    """Bytes that one worker needs, by formula; the activations are an estimate."""

    weights_bytes: int
    trained_state_bytes: int
    """Adapter, gradients, optimiser state of the largest trial."""
    activations_bytes: int


def memory_of(trial: TrialSpec, trainable: int) -> Memory:
    """Returns the memory of one worker.

    Args:
        trial: the one on the largest model.
        trainable: parameters that the largest trial trains.
    """
    engine, workers, facts = trial.engine, trial.workers, trial.model.facts()
    weights = facts.shape.total_parameters * BYTES[engine.precision]
    if engine.zero_stage == 3:
        weights //= workers
    tokens = trial.train.batch_size * trial.train.max_length
    # Per layer and token: with checkpointing its input; without, what autograd keeps of attention
    # and the feed-forward block, about 16 widths and 4 inner widths.
    per_layer = facts.width
    if not engine.gradient_checkpointing:
        per_layer = 16 * facts.width + 4 * facts.inner
    # Logits, their gradient and the log-softmax are kept in fp32.
    logits = 3 * 4 * tokens * facts.vocabulary
    activations = tokens * facts.shape.layers * per_layer * BYTES[engine.precision] + logits
    return Memory(weights, _trained_state(engine, trainable, workers), activations)


def require_memory(sweep: Sweep, address: str | None) -> None:
    """Looks whether weights and trained state of one replica fit into this machine.

    The activations are only estimated, so they alone are no reason to refuse: what does not fit
    with them is warned of.

    Args:
        sweep: to be run.
        address: the cluster it shall run on, whose machines are not known; None for this machine.

    Raises:
        BadInputError: they do not.
    """
    resources = sweep.spec.resources
    if (address or ray_address()) is not None:
        return
    where = "a GPU of this machine" if resources.gpus_per_worker else "this machine"
    there = memory_there(on_gpu=resources.gpus_per_worker > 0)
    if there is None:
        return
    corners = [sweep.space.trial(point) for _, point in sweep.space.corners()]
    largest = max(trial.model.trainable(trial.method) for trial in corners)
    memory = memory_of(sweep.space.any_trial(), largest)
    # Workers have a GPU each, or share the machine.
    workers = 1 if resources.gpus_per_worker else resources.workers
    needed = workers * (memory.weights_bytes + memory.trained_state_bytes)
    wanted = needed + workers * memory.activations_bytes
    of = f"of {count(workers, 'worker')}"
    hint = "lower engine.precision or train.batch_size, shard with engine.zero_stage"
    if needed > there:
        raise BadInputError(
            f"weights and trained state {of} need {bytes_text(needed)} of memory, but {where} has "
            f"{bytes_text(there)}; {hint}, use a smaller model, or run on a cluster (--address)"
        )
    if wanted > there:
        logger.warning(
            "the memory %s is estimated at %s, but %s has %s; if it runs out, %s",
            of,
            bytes_text(wanted),
            where,
            bytes_text(there),
            hint,
        )


def memory_there(*, on_gpu: bool) -> int | None:
    """Returns the bytes of the smallest GPU, or those that processes of this machine may have.

    None where there is no GPU, or it is not known.
    """
    return _gpu_bytes() if on_gpu else _machine_bytes()


def _machine_bytes() -> int | None:
    """Returns the memory that processes here may have, None where it is not known."""
    import psutil

    found = [int(psutil.virtual_memory().total)]
    for path in map(Path, _GROUP_LIMITS):
        try:
            found.append(int(path.read_text()))
        except (OSError, ValueError):
            # There is no such group, or it has no limit.
            continue
    return min(found)


def _gpu_bytes() -> int | None:
    import torch

    sizes = [
        int(torch.cuda.get_device_properties(index).total_memory)
        for index in range(torch.cuda.device_count())
    ]
    return min(sizes, default=None)


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
