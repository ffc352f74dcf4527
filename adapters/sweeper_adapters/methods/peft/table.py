"""The types that PEFT has, with the fields of their configs: known without importing PEFT.

The table is made of PEFT's config classes by ``reading.py`` and kept as ``types.json`` here beside:
importing PEFT takes seconds, and a search space is read by every command.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["FILE", "PeftField", "PeftType", "known_types", "peft_version"]

FILE = Path(__file__).with_name("types.json")
"""The table, as JSON."""

_NAMES = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "null": "null",
    "list[int]": "a list of whole numbers",
    "list[str]": "a list of texts",
    "dict": "fields with their values",
}


@dataclass(frozen=True)
class PeftField:
    """A field of a config of PEFT's."""

    name: str
    takes: tuple[str, ...]
    """Kinds of values that it takes, as JSON has them: ``int``, ``null``, ``list[str]``, …"""
    choices: tuple[object, ...]
    """The texts that it takes, where it takes no others."""
    default: object
    """What PEFT takes where it is not given."""

    def accepts(self, value: object) -> bool:
        """Whether a value, as YAML gives it, is one that the field takes."""
        if isinstance(value, str) and self.choices:
            return value in self.choices
        return any(_is_kind(value, kind) for kind in self.takes)

    def describe(self) -> str:
        """Returns what it takes, in words."""
        named = [_NAMES[kind] for kind in self.takes if kind != "str" or not self.choices]
        return " or ".join([*map(str, self.choices), *named])


def _is_kind(value: object, kind: str) -> bool:
    """Whether a value is of a kind; true is no number, and a whole number is one."""
    if kind.startswith("list["):
        return isinstance(value, list | tuple) and all(_is_kind(x, kind[5:-1]) for x in value)
    if kind in {"int", "float"}:
        numbers = int if kind == "int" else int | float
        return isinstance(value, numbers) and not isinstance(value, bool)
    kinds = {"bool": bool, "str": str, "null": type(None), "dict": dict}
    return isinstance(value, kinds[kind])


@dataclass(frozen=True)
class PeftType:
    """A type of adapter that PEFT has."""

    name: str
    """PEFT's, in capitals: ``VERA``."""
    config: str
    """Name of its config class."""
    fields: Mapping[str, PeftField]
    """The fields of the config that make the adapter; not those that PEFT itself fills in."""


@cache
def known_types() -> Mapping[str, PeftType]:
    """Returns the types by their names, sorted."""
    return {
        name: PeftType(
            name,
            entry["config"],
            {
                field: PeftField(
                    field, tuple(known["takes"]), tuple(known["choices"]), known["default"]
                )
                for field, known in entry["fields"].items()
            },
        )
        for name, entry in _read()["types"].items()
    }


def peft_version() -> str:
    """Returns the version of PEFT that the table was made of."""
    return str(_read()["peft"])


@cache
def _read() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return content
