"""The fields of a PEFT method as a file gives them: checked by the table, and completed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from math import inf

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from sweeper_adapters.methods._facts import GROUPS
from sweeper_adapters.methods.peft.facts import (
    FIELDS_LEFT_OUT,
    RANGES,
    VALUES_LEFT_OUT,
    facts_of,
)
from sweeper_adapters.methods.peft.table import PeftField, PeftType, known_types

__all__ = ["completed", "read_type"]

_OURS = ("name", "type", "targets")
# What the last linear layer of a feed-forward block is called.
_LAST_OF_MLP = ("down_proj", "fc2", "dense_4h_to_h", "mlp.c_proj", "w2", "wo")


def read_type(value: object) -> str | None:
    """Returns PEFT's name of a type, however it is written; None where there is none such."""
    name = str(value).strip().upper().replace("-", "_")
    return name if isinstance(value, str) and name in known_types() else None


def completed(
    values: Mapping[str, object], *, title: str, targets: Sequence[str]
) -> dict[str, object]:
    """Returns the fields of a method with PEFT's defaults where they are not given.

    Values that say nothing, ``null`` and ``{}`` where these are the defaults, are left out.

    Args:
        values: the method as a file gives it.
        title: of the spec, for errors.
        targets: taken where it gives none, by a type that adapts layers.

    Raises:
        ValidationError: the type is unknown or refused, or a field is not one of the type's; with
            all that is wrong.
    """
    if not isinstance(values.get("type"), str):
        # The spec's own field says so.
        return {key: value for key, value in values.items() if key in _OURS}
    name = read_type(values["type"])
    problems = list(_type_problems(values["type"], name))
    if name is None or problems:
        raise _error(title, problems)
    kind, facts = known_types()[name], facts_of(name)
    given = {key: value for key, value in values.items() if key not in _OURS}
    problems = [*_field_problems(kind, given), *_target_problems(kind, values)]
    if problems:
        raise _error(title, problems)
    found: dict[str, object] = {key: values[key] for key in _OURS if key in values}
    found["type"] = name
    if facts.targets is None:
        found.setdefault("targets", tuple(targets))
    defaults = dict(facts.defaults)
    if name == "IA3":
        defaults["feedforward_modules"] = _feedforward(found.get("targets"))
    for key, field in kind.fields.items():
        if _reason_against(key) is None:
            value = _plain(field, given.get(key, defaults.get(key, field.default)))
            if value is not None and value != {}:
                found[key] = value
    return found


def _feedforward(targets: object) -> list[object] | None:
    """Returns the targets of which IA3 scales what comes in; None while a group is among them.

    What a feed-forward block puts out is scaled where it comes in, as in the paper.
    """
    chosen = targets if isinstance(targets, list | tuple) else (targets,)
    if any(target in GROUPS for target in chosen):
        # Only a model has the names: the field is left out, and completed once they are known.
        return None
    return [target for target in chosen if str(target).endswith(_LAST_OF_MLP)]


def _plain(field: PeftField, value: object) -> object:
    """Returns a value in the one form that it has in a trial."""
    if isinstance(value, tuple):
        return list(value)
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return float(str(value)) if is_whole and "int" not in field.takes else value


def _type_problems(value: object, name: str | None) -> Iterator[tuple[str, str]]:
    if name is None:
        known = list(known_types())
        near = get_close_matches(str(value).upper(), known, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        yield "type", f"unknown type {value!r} of PEFT; known: {', '.join(known)}{hint}"
    elif facts_of(name).refused:
        yield "type", f"{name} is not trained here: {facts_of(name).refused}"


def _field_problems(kind: PeftType, given: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for key, value in given.items():
        field, reason = kind.fields.get(key), _reason_against(key)
        if reason is not None:
            yield key, reason
        elif field is None:
            yield key, _describe_unknown(key, kind)
        elif not field.accepts(value):
            yield key, f"got {value!r}; {key} of {kind.name} takes {field.describe()}; write one"
        elif (kind.name, key) in VALUES_LEFT_OUT:
            allowed, why = VALUES_LEFT_OUT[kind.name, key]
            if value not in allowed:
                texts = ", ".join(map(repr, allowed))
                yield key, f"got {value!r}; allowed here is {texts}: {why}"
        else:
            yield from _range_problems(kind, key, value)
    for key in facts_of(kind.name).required:
        if given.get(key) in (None, []):
            yield key, f"is missing; {kind.name} needs it: give {key}"


def _range_problems(kind: PeftType, key: str, value: object) -> Iterator[tuple[str, str]]:
    least, most = RANGES.get((kind.name, key), (-inf, inf))
    if isinstance(value, int | float) and not least <= value <= most:
        allowed = f"{least} or more" if most == inf else f"{least} to {most}"
        yield key, f"got {value!r}; {key} of {kind.name} is {allowed}; change it"
    if key == "token_indices" and isinstance(value, list | tuple):
        twice = sorted({x for x in value if value.count(x) > 1})
        if twice:
            texts = ", ".join(map(str, twice))
            yield key, f"{texts} stands there more than once; a token is trained once; remove one"


def _describe_unknown(key: str, kind: PeftType) -> str:
    known = ["targets", *(name for name in kind.fields if _reason_against(name) is None)]
    near = get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown field {key!r} of {kind.name}; known: {', '.join(sorted(known))}{hint}"


def _target_problems(kind: PeftType, values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    if facts_of(kind.name).targets is not None and values.get("targets"):
        yield "targets", f"{kind.name} adapts no layers that could be chosen; leave targets out"


def _reason_against(key: str) -> str | None:
    """Returns why a field of PEFT's is not taken, None where it is."""
    return FIELDS_LEFT_OUT.get(key)


def _error(title: str, problems: Sequence[tuple[str, str]]) -> ValidationError:
    errors = [
        InitErrorDetails(
            type=PydanticCustomError("peft_field", "{error}", {"error": text}),
            loc=(key,),
            input=None,
        )
        for key, text in problems
    ]
    return ValidationError.from_exception_data(title, errors)
