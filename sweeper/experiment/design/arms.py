"""What a design compares, as its file has it, and the control arms that are owed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast, get_args

from pydantic import TypeAdapter, ValidationError

from sweeper.experiment.documents.tree import Document, get_path
from sweeper.experiment.trial import TrainSpec
from sweeper_adapters.methods import AnyMethodSpec, Method

__all__ = [
    "Arm",
    "complete",
    "control_of",
    "find_unequal_controls",
    "method_of",
    "value_at",
    "with_controls",
]

_ADAPTER: TypeAdapter[Any] = TypeAdapter(Method)


@dataclass(frozen=True)
class Arm:
    """One entry of the file: a method, or a listed trial."""

    name: str
    """The method's name, or the trial's."""
    entry: Document
    """Its part of the file: ``method``, and in ``train`` what it has of its own."""
    controls: str = ""
    """Name of the arm that it is the control arm of; empty if it is none."""


def method_of(arm: Arm) -> AnyMethodSpec | None:
    """Returns the method of an arm; None where it is none, which is told elsewhere."""
    try:
        return cast("AnyMethodSpec", _ADAPTER.validate_python(arm.entry.get("method")))
    except ValidationError:
        return None


def value_at(arm: Arm, path: tuple[str, str], *, train: Document) -> object:
    """Returns the value that an arm has of a field, the default where neither it nor the file does.

    Args:
        arm: of the design.
        path: where the field stands in a trial.
        train: the training of the file.
    """
    own = get_path(arm.entry, path)
    if own is not None:
        return own
    if path[0] == "train":
        field = TrainSpec.model_fields.get(path[1])
        default = None if field is None or field.is_required() else field.default
        return train.get(path[1], default)
    return getattr(method_of(arm), path[1], None)


def complete(
    arms: Sequence[Arm], *, is_sized: bool, is_each_controlled: bool = False
) -> tuple[Arm, ...]:
    """Returns the arms, and for each that owes a control arm and has none this one after it.

    Args:
        arms: of the design.
        is_sized: whether a budget sets the sizes.
        is_each_controlled: whether only a control arm of the same shape and training is one;
            otherwise any arm of its method is.
    """
    found: list[Arm] = []
    for arm in arms:
        found.append(arm)
        wanted = control_of(arm, is_sized=is_sized)
        if wanted is None or _is_given(wanted, arms, is_alike=is_each_controlled):
            continue
        if wanted.entry not in [other.entry for other in found]:
            found.append(wanted)
    return tuple(found)


def control_of(arm: Arm, *, is_sized: bool) -> Arm | None:
    """Returns the control arm that is owed where an arm is compared; None where none is.

    Args:
        arm: of the design.
        is_sized: whether a budget sets the sizes, so that the arm must set none itself.
    """
    method = method_of(arm)
    control = None if method is None else _control_of(method)
    if method is None or control is None:
        return None
    left_out = {control.size_field, *control.size_fields} if is_sized else set()
    fields = control.model_dump(mode="json", exclude_defaults=True, exclude=left_out)
    name = str(type(control).model_fields["name"].default)
    entry: Document = {"method": {"name": name, **fields}}
    if "train" in arm.entry:
        entry["train"] = arm.entry["train"]
    own = name if arm.name == method.model_dump()["name"] else f"{arm.name}-control"
    return Arm(own, entry, controls=arm.name)


def with_controls(arms: Sequence[Arm], *, is_sized: bool) -> tuple[Arm, ...]:
    """Returns the arms, of which each that is another one's control arm says whose.

    Args:
        arms: as the file has them.
        is_sized: whether a budget sets the sizes, which are then alike.
    """
    train = {arm.name: arm.entry.get("train") for arm in arms}
    owners: dict[str, str] = {}
    for name, _, unequal in _control_arms(arms, is_sized=is_sized):
        equal = [other for other, fields in unequal.items() if not fields]
        if equal:
            # Of several the one that is trained alike.
            owners[name] = min(equal, key=lambda other: train[other] != train[name])
    return tuple(replace(arm, controls=owners.get(arm.name, arm.controls)) for arm in arms)


def find_unequal_controls(arms: Sequence[Arm], *, is_sized: bool) -> Iterator[tuple[str, str]]:
    """Yields the name of each control arm that controls no arm beside it, and why.

    Args:
        arms: as the file has them.
        is_sized: whether a budget sets the sizes, which are then alike.
    """
    wanted = {arm.name: _owed_by(arm) for arm in arms}
    for name, method, unequal in _control_arms(arms, is_sized=is_sized):
        if all(unequal.values()):
            other, fields = min(unequal.items(), key=lambda item: len(item[1]))
            said = ", ".join(
                f"{field} is {getattr(method, field)!r} and that of {other} is "
                f"{getattr(wanted[other], field)!r}"
                for field in fields
            )
            yield (
                name,
                f"{said}; a control arm of another size or shape shows nothing of {other}; give "
                "both the same, or leave it out: it is added then",
            )


def _control_arms(
    arms: Sequence[Arm], *, is_sized: bool
) -> Iterator[tuple[str, AnyMethodSpec, dict[str, list[str]]]]:
    """Yields each arm whose method is a control arm's that is owed: its name and its method.

    With them, by each arm that owes one, in which fields it is not this one.
    """
    wanted = {arm.name: owed for arm in arms if (owed := _owed_by(arm)) is not None}
    for arm in arms:
        method = method_of(arm)
        if method is None:
            continue
        size = {method.size_field, *method.size_fields} if is_sized else set()
        unequal = {
            name: _differing(method, owed, size)
            for name, owed in wanted.items()
            if type(owed) is type(method)
        }
        if unequal:
            yield arm.name, method, unequal


def _owed_by(arm: Arm) -> AnyMethodSpec | None:
    """Returns the method of the control arm that an arm owes; None where it owes none."""
    method = method_of(arm)
    return None if method is None else _control_of(method)


def _control_of(method: AnyMethodSpec) -> AnyMethodSpec | None:
    union, *_ = get_args(Method)
    found = (kind.control_of(method) for kind in get_args(union))
    return next((control for control in found if control is not None), None)


def _is_given(wanted: Arm, arms: Sequence[Arm], *, is_alike: bool) -> bool:
    """Returns whether a control arm is among arms, by its method or as it is."""
    control = method_of(wanted)
    own = [arm for arm in arms if type(method_of(arm)) is type(control)]
    if not is_alike:
        return bool(own)
    train = wanted.entry.get("train", {})
    return any(method_of(arm) == control and arm.entry.get("train", {}) == train for arm in own)


def _differing(method: AnyMethodSpec, other: AnyMethodSpec, but: set[str]) -> list[str]:
    fields = [name for name in type(method).model_fields if name not in but]
    return [name for name in fields if getattr(method, name) != getattr(other, name)]
