"""The architecture without values, and each trial's adapter in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sweeper._text import shorten
from sweeper.experiment.trial import TrialSpec
from sweeper.preflight.counting import TrialCounter
from sweeper.preflight.dry_run.finding import DryRunFinding

__all__ = ["try_adapters", "try_model"]

_FIX = "choose other targets or another size of it, or leave it out"


def try_model(trial: TrialSpec, counter: TrialCounter) -> DryRunFinding:
    """Returns whether the model can be built, and has the parameters that are planned with.

    Args:
        trial: any one on the model.
        counter: keeps what is built.
    """
    shape = trial.model.shape()
    try:
        built = counter.base(trial)
    except Exception as error:  # noqa: BLE001 - a family's code raises anything
        return DryRunFinding("model", "no", _told(error), "correct model.architecture")
    planned = shape.total_parameters
    if built != planned:
        detail = f"{built:,} parameters when built, but {planned:,} as it is planned with"
        return DryRunFinding("model", "no", detail, "correct model.architecture")
    detail = f"{built:,} parameters in {shape.layers} layers when built without values, as planned"
    return DryRunFinding("model", "ok", detail)


def try_adapters(trials: Sequence[TrialSpec], counter: TrialCounter) -> Iterator[DryRunFinding]:
    """Yields of each method whether its adapters can be put in, and train what is planned.

    Args:
        trials: of one model.
        counter: keeps what is built.
    """
    by_label: dict[str, dict[str, TrialSpec]] = {}
    for trial in trials:
        by_label.setdefault(trial.method.label, {})[trial.method.model_dump_json()] = trial
    for label, adapters in by_label.items():
        yield from _tried(label, list(adapters.values()), counter)


def _tried(
    label: str, trials: Sequence[TrialSpec], counter: TrialCounter
) -> Iterator[DryRunFinding]:
    """Yields a finding for all adapters of a method that are right, and one for each other one."""
    right: list[int] = []
    for trial in trials:
        try:
            built = counter.count(trial).trainable
            planned = trial.model.trainable(trial.method)
        except Exception as error:  # noqa: BLE001 - PEFT raises anything on layers it does not know
            yield DryRunFinding(f"adapter {label}", "no", _told(error), _FIX)
            continue
        if built != planned:
            detail = f"{built:,} trainable parameters when put in, but {planned:,} as planned"
            yield DryRunFinding(f"adapter {label}", "no", detail, _FIX)
            continue
        right.append(built)
    if right:
        low, high = min(right), max(right)
        size = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        number = "one put in" if len(right) == 1 else f"{len(right)} put in"
        detail = f"{number}; {size} trainable parameters, as planned"
        yield DryRunFinding(f"adapter {label}", "ok", detail)


def _told(error: Exception) -> str:
    return shorten(f"{type(error).__name__}: {error}", limit=400)
