"""The table of PEFT's types, read from the config classes of the PEFT that is installed.

``python -m sweeper_adapters.methods.peft.reading`` writes it anew.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import peft
from peft import PEFT_TYPE_TO_CONFIG_MAPPING, PeftConfig, PromptLearningConfig

from sweeper_adapters.methods.peft.table import FILE

__all__ = ["read_table", "write_table"]

_PLAIN = {bool: "bool", int: "int", float: "float", str: "str", NoneType: "null"}


def read_table() -> dict[str, object]:
    """Returns the table as plain JSON: the version of PEFT, and its types by name."""
    types: dict[str, object] = {}
    for kind, config in PEFT_TYPE_TO_CONFIG_MAPPING.items():
        # Those of others, this package's among them, are registered here, too.
        if config.__module__.startswith("peft."):
            types[str(getattr(kind, "value", kind))] = {
                "config": config.__name__,
                "fields": dict(_read_fields(config)),
            }
    return {"peft": peft.__version__, "types": dict(sorted(types.items()))}


def write_table() -> str:
    """Returns the table as the text of its file."""
    table = read_table()
    types = table["types"]
    assert isinstance(types, dict)
    # A type a line: what another version changes is then seen in few lines.
    lines = [f"  {json.dumps(name)}: {json.dumps(found)}" for name, found in types.items()]
    head = f'{{\n "peft": {json.dumps(table["peft"])},\n "types": {{\n'
    return head + ",\n".join(lines) + "\n }\n}\n"


def _read_fields(config: type[PeftConfig]) -> Iterator[tuple[str, dict[str, object]]]:
    """Yields name and form of each field that makes the adapter."""
    filled_in = {field.name for field in fields(PeftConfig)}
    if issubclass(config, PromptLearningConfig):
        filled_in |= {field.name for field in fields(PromptLearningConfig)} - {"num_virtual_tokens"}
    hints = get_type_hints(config)
    for field in fields(config):
        if field.name in filled_in or not field.init:
            continue
        takes, choices = _read_annotation(hints[field.name])
        default = _read_default(field)
        # Some are declared without the null that is their default.
        if default is None and "null" not in takes:
            takes = [*takes, "null"]
        yield field.name, {"takes": takes, "choices": choices, "default": default}


def _read_annotation(annotation: Any) -> tuple[list[str], list[object]]:  # noqa: ANN401 - any type
    """Returns the kinds of values that an annotation allows, and the texts if they are few."""
    takes: list[str] = []
    choices: list[object] = []
    for part in _leaves(annotation):
        if get_origin(part) is Literal:
            choices += get_args(part)
            takes.append("str")
        elif isinstance(part, type) and issubclass(part, enum.Enum):
            choices += [member.value for member in part]
            takes.append("str")
        elif part in _PLAIN:
            takes.append(_PLAIN[part])
        elif get_origin(part) is list and get_args(part) and get_args(part)[0] in _PLAIN:
            takes.append(f"list[{_PLAIN[get_args(part)[0]]}]")
        elif part is dict or get_origin(part) is dict:
            takes.append("dict")
        # What is left is an object of a class of PEFT's, which no YAML can write.
    return list(dict.fromkeys(takes)), choices


def _leaves(annotation: Any) -> Iterator[Any]:  # noqa: ANN401 - any type
    if get_origin(annotation) in {Union, UnionType}:
        for part in get_args(annotation):
            yield from _leaves(part)
    else:
        yield annotation


def _read_default(field: Field[Any]) -> object:
    if field.default_factory is not MISSING:
        made = field.default_factory()
        return made if isinstance(made, list | dict) else None
    default = None if field.default is MISSING else field.default
    return default.value if isinstance(default, enum.Enum) else default


if __name__ == "__main__":
    FILE.write_text(write_table(), encoding="utf-8")
