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


def with_controls(arms: Sequence[Arm], *, is_sized: bool) -> tuple[Arm, ...]:
    """Returns the arms, with each that is the control arm of another one named as its control.

    Args:
        arms: as the file has them.
        is_sized: whether a budget sets the sizes.
    """
    owed = [(arm, control_of(arm, is_sized=is_sized)) for arm in arms]

    def controlled_by(arm: Arm) -> str:
        method = method_of(arm)
        own = [x for x, wanted in owed if wanted is not None and method_of(wanted) == method]
        # Of several that it may be of, the one that is trained as it is.
        alike = [x for x in own if x.entry.get("train", {}) == arm.entry.get("train", {})]
        return next((x.name for x in (*alike, *own)), arm.controls)

    return tuple(replace(arm, controls=controlled_by(arm)) for arm in arms)


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


def find_unequal_controls(arms: Sequence[Arm], *, is_sized: bool) -> Iterator[tuple[str, str]]:
    """Yields the name of each control arm that controls no arm beside it, and why.

    Args:
        arms: as the file has them.
        is_sized: whether a budget sets the sizes, which are then alike.
    """
    methods = {arm.name: found for arm in arms if (found := method_of(arm)) is not None}
    wanted = {name: _control_of(method) for name, method in methods.items()}
    for name, method in methods.items():
        owed = {x: found for x, found in wanted.items() if type(found) is type(method)}
        size = {method.size_field, *method.size_fields} if is_sized else set()
        unequal = {x: _differing(method, found, size) for x, found in owed.items()}
        if unequal and all(unequal.values()):
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


def _differing(method: AnyMethodSpec, other: AnyMethodSpec | None, but: set[str]) -> list[str]:
    fields = [name for name in type(method).model_fields if name not in but]
    return [name for name in fields if getattr(method, name) != getattr(other, name)]
