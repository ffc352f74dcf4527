"""A trial made of another one that has ended: checked, compared tensor by tensor, and written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from sweeper._text import count, shorten
from sweeper.analysis.lookup import FoundTrial
from sweeper.errors import BadInputError, Problem, SpecError
from sweeper.evaluation.adapter.expected import expect_adapter
from sweeper.evaluation.adapter.warm_start import agreement, saved_shapes
from sweeper.experiment.documents.overrides import apply_overrides
from sweeper.experiment.problems import problems_of
from sweeper.experiment.sections.keys import COMPARED_ALIKE
from sweeper.experiment.trial import TrialSpec
from sweeper.models.shapes import skeleton
from sweeper.preflight.forecast import kept_costs, require_fitting
from sweeper.tracking.owner.clones import (
    CLONES,
    ClonedFrom,
    add_clone,
    clone_identity,
    parent_of,
)
from sweeper.tracking.owner.extending import is_taken_up
from sweeper.tracking.owner.limits import limits_of
from sweeper.tracking.owner.requests import asked_by
from sweeper.tracking.owner.revisions import changed_alone
from sweeper.tracking.provenance import data_fingerprint
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import TrialFolder

__all__ = ["MadeClone", "clone"]

# Tensors that a sentence names.
_MOST_NAMED = 8
# What of the engine may change: it alters neither replicas nor what is learnt, but for rounding.
_ENGINE = ("gradient_accumulation", "gradient_checkpointing")


@dataclass(frozen=True)
class MadeClone:
    """A clone that waits to be trained."""

    sweep: SweepFolder
    folder: TrialFolder
    parent: ClonedFrom
    is_running: bool
    """Whether a driver runs the sweep, which trains it after the trials before."""

    @property
    def lines(self) -> list[str]:
        """What was made, what of it begins anew, and what follows, a sentence or two each."""
        record, parent, name = self.folder.read(), self.parent, self.sweep.name
        of = len(parent.taken) + len(parent.left)
        found = [
            f"Clone {record.number} ({record.id}) of {parent.name}: it begins with "
            f"{len(parent.taken)} of {count(of, 'tensor')}, after {count(parent.steps, 'step')}, "
            f"and trains {record.steps_total:,} more."
        ]
        named = list(parent.left.items())[:_MOST_NAMED]
        found += [f"Begins anew: {key} ({why})." for key, why in named]
        if more := len(parent.left) - len(named):
            found.append(f"So do {more:,} more, which {self.folder.path}/cloned_from.json names.")
        then = "Its driver trains it after the trials" if self.is_running else ""
        found.append(
            f"{then or f'resume {name} trains it'}; report shows it by itself: it has had more "
            "steps than the trials, and counts in no ranking, verdict or search."
        )
        return found

    def document(self) -> dict[str, object]:
        """Returns the same as plain JSON."""
        return {
            "sweep": self.sweep.name,
            "clone": self.folder.read().model_dump(mode="json"),
            "cloned_from": self.parent.model_dump(mode="json"),
            "is_running": self.is_running,
        }


def clone(found: FoundTrial, overrides: Sequence[str]) -> MadeClone:
    """Makes a clone of a trial in its sweep; nothing is trained yet.

    Args:
        found: the parent, which has an adapter; of a search or of a design, or a clone itself.
        overrides: ``train.<field>=value`` or ``method.<field>=value`` each, or how micro-batches
            make a step.

    Raises:
        BadInputError: a field may not change, the parent has no adapter, no tensor of it agrees, it
            needs more memory than the sweep's limit, or there is this clone already; nothing was
            changed.
    """
    for override in overrides:
        _require_changeable(override)
    before = found.trial.trial_spec()
    _require_startable(found, before)
    adapter = found.adapter()
    spec = _changed(before, overrides)
    _require_memory(found.sweep, spec)
    expected = expect_adapter(spec, skeleton(spec.model.config()))
    own = {key: form.shape for key, form in expected.tensors.items()}
    taken, left = agreement(own, saved_shapes(adapter))
    if not taken:
        key, why = next(iter(left.items()))
        raise BadInputError(
            f"clone: none of the {len(own)} tensors that it would have agrees with {found.title}, "
            f"such as {key}: {why}; a clone begins with what its parent has learnt, at least one "
            "tensor of it; change fewer fields, or begin a new sweep, which starts afresh"
        )
    with changed_alone(found.sweep.path, command="clone"):
        return _written(found, spec, overrides, taken=taken, left=left)


def _written(
    found: FoundTrial,
    spec: TrialSpec,
    overrides: Sequence[str],
    *,
    taken: tuple[str, ...],
    left: Mapping[str, str],
) -> MadeClone:
    sweep, record = found.sweep, found.record
    identity = spec.identity(data_fingerprint=data_fingerprint(sweep.path))
    clone_id = clone_identity(identity, record.id)
    if (sweep.path / CLONES / clone_id / "spec.json").exists():
        raise BadInputError(
            f"clone: {found.title} has this clone already ({clone_id}); two of the same would be "
            f"one; 'resume {sweep.name}' trains it, or change another field, such as train.seed"
        )
    before = parent_of(found.trial)
    parent = ClonedFrom(
        trial=record.id,
        name=f"{'clone' if before else 'trial'} {record.number} ({record.method}, {record.id})",
        folder=found.trial.path.relative_to(sweep.path).as_posix(),
        steps=record.steps + (0 if before is None else before.steps),
        asked=tuple(overrides),
        at=datetime.now(UTC),
        by=asked_by(),
        taken=taken,
        left=dict(left),
    )
    params = {**spec.method.parameters(), "learning_rate": spec.train.learning_rate}
    folder = add_clone(
        sweep,
        clone_id,
        spec=spec.model_dump(mode="json"),
        method=spec.method.label,
        params=params,
        steps_total=spec.train.steps,
        parent=parent,
    )
    is_running = is_taken_up(sweep)
    if not is_running and sweep.status == "complete":
        sweep.mark("stopped", note="A trial of it was cloned.")
    return MadeClone(sweep, folder, parent, is_running)


def _changed(before: TrialSpec, overrides: Sequence[str]) -> TrialSpec:
    document: Any = before.model_dump(mode="json")
    try:
        return TrialSpec.model_validate(apply_overrides(document, overrides))
    except ValidationError as error:
        raise SpecError("clone --set", problems_of(error, TrialSpec)) from error


def _require_memory(sweep: SweepFolder, spec: TrialSpec) -> None:
    """Holds a clone against the memory that a worker of its sweep may take.

    Raises:
        BadInputError: it needs more by the forecast of the sweep.
    """
    room = limits_of(sweep.path).max_memory_bytes
    if room is not None:
        require_fitting(
            [spec],
            kept_costs(sweep.path),
            room=room,
            name="--max-memory",
            fixed=("engine.zero_stage", "engine.precision"),
        )


def _require_changeable(override: str) -> None:
    field, equals, _ = override.partition("=")
    keys = tuple(field.strip().split("."))
    if not equals:
        problem = Problem("", f"got {shorten(override)!r}; write path=value")
        raise SpecError("clone --set", [problem])
    is_field = len(keys) > 1 and keys[0] in {"train", "method"}
    if is_field and keys[1] not in {*COMPARED_ALIKE, "name", "python"}:
        return
    if len(keys) == 2 and keys[0] == "engine" and keys[1] in _ENGINE:
        return
    raise BadInputError(
        f"clone --set: got {shorten(override)!r}; a clone is trained by a replica of its sweep, "
        "and begins with the adapter of its parent; fields of train and method may change, but "
        f"{', '.join(COMPARED_ALIKE)}, and the method itself, and {' and '.join(_ENGINE)} of the "
        "engine; for another begin a new sweep"
    )


def _require_startable(found: FoundTrial, spec: TrialSpec) -> None:
    """Checks that a trial's adapter is all that it has learnt, and means the same in another."""
    method = spec.method
    why = ""
    if method.changes_base:
        why = f"{method.label} changes the frozen base, too, which its adapter does not hold"
    elif method.learned_fields or method.needs_all_steps:
        why = f"{method.label} changes its shapes as it trains, by a plan for all of its steps"
    elif spec.train.callbacks:
        why = "its callbacks belong to the trial that its identity names"
    if why:
        raise BadInputError(
            f"clone: {found.title} cannot be cloned, for {why}; a clone begins with an adapter "
            "that stands for itself; begin a new sweep, which starts afresh"
        )
