"""Whether a worker has room for a trial, what would make it fit, and the largest micro-batch."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from sweeper._text import bytes_text
from sweeper.errors import BadInputError
from sweeper.experiment.documents.tree import set_path
from sweeper.experiment.loading import build_sweep
from sweeper.experiment.sweep import Sweep
from sweeper.experiment.trial import TrialSpec
from sweeper.preflight.forecast.costs import Costs
from sweeper.preflight.model.memory import memory_of

__all__ = ["corner_trials", "peak_bytes", "require_fitting", "with_micro_batch"]


def corner_trials(sweep: Sweep) -> list[TrialSpec]:
    """Returns the trials at the corners of a space, the largest of each method among them."""
    return [sweep.space.trial(point) for _, point in sweep.space.corners()]


def require_fitting(
    trials: Sequence[TrialSpec],
    costs: Costs,
    *,
    room: int,
    name: str,
    fixed: Collection[str] = (),
) -> None:
    """Looks whether a worker has room for each trial.

    Args:
        trials: of a sweep.
        costs: of its trials.
        room: bytes of a worker.
        name: of what sets them, for the message.
        fixed: fields that may not change, such as ``engine.zero_stage``; the message does not
            propose them.

    Raises:
        BadInputError: it has not; the message says what would fit.
    """
    largest = max(trials, key=lambda x: peak_bytes(x, costs))
    needed = peak_bytes(largest, costs)
    if needed <= room:
        return
    how = costs.of(largest).source
    fitting = [
        f"{said} ({bytes_text(size)})"
        for said, other in _smaller(largest)
        if (size := peak_bytes(other, costs)) <= room and not any(x in said for x in fixed)
    ]
    hint = f"what would fit: {', or '.join(fitting)}" if fitting else _nothing_fits(fixed)
    raise BadInputError(
        f"{name}: a trial of {largest.method.label} needs about {bytes_text(needed)} of memory a "
        f"worker ({how}), but {bytes_text(room)} are allowed; nothing was started; {hint}"
    )


def _nothing_fits(fixed: Collection[str]) -> str:
    ways, others = ["gradient checkpointing"], "more memory"
    if "engine.zero_stage" not in fixed:
        ways.append("ZeRO")
    if "engine.precision" not in fixed:
        others = "a smaller model, engine.precision=bf16, or more memory"
    return f"neither a smaller micro-batch nor {' nor '.join(ways)} makes it fit: take {others}"


def peak_bytes(trial: TrialSpec, costs: Costs) -> float:
    """Returns the memory of a worker, with the weights that ZeRO-3 leaves to others taken off.

    Args:
        trial: of a sweep.
        costs: of its trials.
    """
    found = costs.of(trial).peak_bytes
    if trial.engine.zero_stage < 3 or trial.workers == 1:
        return found
    whole = trial.model_copy(update={"engine": trial.engine.model_copy(update={"zero_stage": 0})})
    trained = trial.model.trainable(trial.method)
    saved = memory_of(whole, trained).weights_bytes - memory_of(trial, trained).weights_bytes
    return found - saved


def _smaller(trial: TrialSpec) -> Iterator[tuple[str, TrialSpec]]:
    """Yields what makes a trial need less memory, as options of the command, and the trial then."""
    train, engine = trial.train, trial.engine
    whole = train.batch_size * engine.gradient_accumulation
    for size in _divisors(train.batch_size)[1:]:
        said = f"--set train.batch_size={size} --set engine.gradient_accumulation={whole // size}"
        yield said, _with_batch(trial, size)
    changes: list[dict[str, object]] = []
    if not engine.gradient_checkpointing:
        changes.append({"gradient_checkpointing": True})
    if trial.workers > 1:
        changes += [{"zero_stage": stage} for stage in range(engine.zero_stage + 1, 4)]
    for change in changes:
        ((name, value),) = change.items()
        said = f"--set engine.{name}={str(value).lower()}"
        yield said, trial.model_copy(update={"engine": engine.model_copy(update=change)})


def _with_batch(trial: TrialSpec, size: int) -> TrialSpec:
    whole = trial.train.batch_size * trial.engine.gradient_accumulation
    engine = trial.engine.model_copy(update={"gradient_accumulation": whole // size})
    train = trial.train.model_copy(update={"batch_size": size})
    return trial.model_copy(update={"train": train, "engine": engine})


def _divisors(number: int) -> list[int]:
    """Returns the divisors of a number, the largest first."""
    return [size for size in range(number, 0, -1) if number % size == 0]


def with_micro_batch(sweep: Sweep, costs: Costs, *, room: int) -> Sweep:
    """Returns a sweep with the largest micro-batch that every trial of it fits with.

    Its global batch stays: what a micro-batch is smaller, there are more of them in a step. The
    numbers stand in its document as if they had been given.

    Args:
        sweep: whose ``train.batch_size`` is ``auto``, with one sequence in its micro-batches yet.
        costs: of its trials.
        room: bytes of a worker.

    Raises:
        BadInputError: no trial fits, not even with one sequence.
    """
    trials = corner_trials(sweep)
    require_fitting(trials, costs, room=room, name="train.batch_size: auto")
    whole = trials[0].train.batch_size * trials[0].engine.gradient_accumulation
    size = next(
        size
        for size in _divisors(whole)
        if all(peak_bytes(_with_batch(trial, size), costs) <= room for trial in trials)
    )
    document = set_path(sweep.document, ("train", "batch_size"), size)
    document = set_path(document, ("engine", "gradient_accumulation"), whole // size)
    assert isinstance(document, dict)
    return build_sweep(document, source=f"micro-batches of {size}", prior=sweep.space.prior)
