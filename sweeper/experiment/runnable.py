"""What of a sweep can be run: a list may have trials that can only be counted."""

from __future__ import annotations

from dataclasses import replace

from sweeper.errors import Problem, SpecError
from sweeper.experiment.documents.tree import get_path
from sweeper.experiment.loading import build_sweep
from sweeper.experiment.sweep import Sweep

__all__ = ["only_runnable"]


def only_runnable(sweep: Sweep) -> tuple[Sweep, tuple[str, ...]]:
    """Returns what of a sweep the profile's model can run, and the listed trials left out.

    Left out are trials that are counted on another architecture, and those that another trial of
    the list repeats.

    A design is run whole, or not at all: what is left out of it could not be compared.

    Raises:
        SpecError: nothing is left, or a design has a trial that is on another model.
    """
    if sweep.design is not None:
        _require_one_model(sweep)
        return sweep, ()
    entries = sweep.document.get("trials")
    if not isinstance(entries, list):
        return sweep, ()
    names = [method.name for method in sweep.space.methods]
    kept = _find_runnable(sweep)
    if not kept:
        architectures = sorted({str(get_path(entry, ("architecture",))) for entry in entries})
        message = (
            f"none of the {len(names)} trials is on the model of profile {sweep.spec.profile}; "
            f"they are on {', '.join(architectures)}; take a profile of one of these"
        )
        raise SpecError("trials", [Problem("", message)])
    left_out = tuple(name for name in names if name not in kept)
    if not left_out:
        return sweep, ()
    entries = [entry for entry in entries if get_path(entry, ("name",)) in kept]
    document = {**sweep.document, "trials": entries}
    kept_sweep = build_sweep(document, source="the trials that can be run", prior=sweep.space.prior)
    return replace(kept_sweep, is_batch_open=sweep.is_batch_open), left_out


def _require_one_model(sweep: Sweep) -> None:
    problems = {
        method.designed.configuration: Problem(
            f"design.{method.designed.configuration}.architecture",
            f"is not the model of profile {sweep.spec.profile}; a design compares on one model; "
            "leave it out, or take a profile of that model",
        )
        for method in sweep.space.methods
        if method.designed is not None
        and sweep.space.trial({"method": method.name}).model != sweep.spec.model
    }
    if problems:
        raise SpecError("design", list(problems.values()))


def _find_runnable(sweep: Sweep) -> set[str]:
    """Returns the names of the listed trials on the profile's model, of equal ones the first."""
    names: dict[str, str] = {}
    for method in sweep.space.methods:
        trial = sweep.space.trial({"method": method.name})
        if trial.model == sweep.spec.model:
            names.setdefault(trial.identity(), method.name)
    return set(names.values())
