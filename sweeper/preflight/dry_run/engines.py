"""DeepSpeed's configuration of each trial, as DeepSpeed itself reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sweeper._text import shorten
from sweeper.experiment.trial import TrialSpec
from sweeper.preflight.dry_run.finding import DryRunFinding
from sweeper.training.deepspeed_config import ds_config
from sweeper.training.engine import config_problem

__all__ = ["try_engines"]


def try_engines(
    trials: Sequence[TrialSpec], trainable: Mapping[str, int], *, is_cuda: bool
) -> Iterator[DryRunFinding]:
    """Yields of each kind of engine whether DeepSpeed takes the trials' configurations.

    Args:
        trials: of a sweep.
        trainable: parameters that each method trains, by its JSON; of one that is not there no
            engine can be made.
        is_cuda: whether the workers have GPUs.
    """
    kinds: dict[str, list[tuple[TrialSpec, int]]] = {}
    for trial in trials:
        count = trainable.get(trial.method.model_dump_json())
        if count is not None:
            kinds.setdefault(_kind(trial), []).append((trial, count))
    for kind, found in kinds.items():
        yield _tried(kind, found, is_cuda=is_cuda)


def _kind(trial: TrialSpec) -> str:
    engine, train = trial.engine, trial.train
    offload = ", offload to the CPU" if engine.offload == "cpu" else ""
    return (
        f"ZeRO-{engine.zero_stage}, {engine.precision}{offload}, micro-batch {train.batch_size} × "
        f"accumulation {engine.gradient_accumulation}, clip {train.max_grad_norm:g}"
    )


def _tried(kind: str, found: Sequence[tuple[TrialSpec, int]], *, is_cuda: bool) -> DryRunFinding:
    # Besides the kind it is the size of the adapter that configurations differ in.
    by_size = {count: trial for trial, count in found}
    for count, trial in by_size.items():
        config = ds_config(trial.train, trial.engine, trainable=count, is_cuda=is_cuda)
        try:
            problem = config_problem(config, trial.engine)
        except ImportError as error:
            detail = f"DeepSpeed cannot be imported: {shorten(error, limit=200)}"
            return DryRunFinding("engine", "not at hand", f"{kind}: {detail}", "make install")
        if problem:
            return DryRunFinding("engine", "no", f"{kind}: {problem}", "change engine or train")
    number = "one configuration" if len(by_size) == 1 else f"{len(by_size)} configurations"
    return DryRunFinding("engine", "ok", f"{kind}: {number}, which DeepSpeed reads as meant")
