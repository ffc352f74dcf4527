"""The page on the types of PEFT: one table of all, and the fields of each."""

from __future__ import annotations

import json

from sweeper_docs.markdown import code, page, table
from sweeper_docs.project import (
    PEFT_FIELDS_LEFT_OUT,
    PeftField,
    PeftType,
    PeftTypeFacts,
    peft_types,
    peft_version,
)

__all__ = ["peft_types_page"]

_INTRODUCTION = """
`{{name: peft, type: VERA}}` in a search space's `methods` is PEFT's own tuner of that type, here of
PEFT {version}. {trained} of its {all} types are trained; the others are refused when a file is
read, for the reason below. Each field of a type may be [searched](search-space.md#distributions),
but for `type`: two types are two methods, called `peft_vera` and `peft_ia3` in points, records and
`--set`.

- A **budget** sets the field of that column. A type without one keeps its size, and `plan` shows by
  how much it misses. One that is counted in the model takes part in no budget.
- Parameters are **counted** on layers without values: on the linear layers alone, or in the model.
- **Frozen weights** that a tuner changes are copied to the CPU before a trial, and put back. They
  are copied, too, where a field that says how a type starts is not PEFT's default.
- **ZeRO-3** is taken by {whole} alone; the others have not been tried with it.
- `export --format merged` needs a type that is **mergeable**; `peft` works for all.
- `targets`, the field of all methods, is in the place of `target_modules`.
"""
_HEADER = ("type", "a budget sets", "counted", "frozen weights", "mergeable")
_LEFT_OUT = "These fields of PEFT's are refused with all types, for the reason given."


def peft_types_page() -> str:
    """Returns the page."""
    types = peft_types()
    trained = {name: found for name, found in types.items() if not found[1].refused}
    refused = [(code(name), facts.refused) for name, (_, facts) in types.items() if facts.refused]
    whole = ", ".join(code(name) for name, (_, facts) in trained.items() if facts.reads_no_weights)
    text = _INTRODUCTION.format(
        version=peft_version(), trained=len(trained), all=len(types), whole=whole
    )
    fields_left_out = [(code(name), why) for name, why in PEFT_FIELDS_LEFT_OUT.items()]
    return page(
        "Types of PEFT",
        text,
        "## Types that are trained\n\n"
        + table(_HEADER, [_row(name, facts) for name, (_, facts) in trained.items()]),
        "## Types that are refused\n\n" + table(("type", "why"), refused),
        f"## Fields that are refused\n\n{_LEFT_OUT}\n\n" + table(("field", "why"), fields_left_out),
        "## Fields of each type",
        *(_section(kind, facts) for kind, facts in trained.values()),
    )


def _row(name: str, facts: PeftTypeFacts) -> tuple[str, ...]:
    return (
        f"[{code(name)}](#{name.lower()})",
        "nothing" if facts.size is None else code(facts.size),
        "on linear layers" if facts.is_counted_by_shape else "in the model",
        "copied, put back" if facts.changes_base else "unchanged",
        "yes" if facts.is_mergeable else "no",
    )


def _section(kind: PeftType, facts: PeftTypeFacts) -> str:
    rows = [
        (code(name), field.describe(), _default(field, facts))
        for name, field in kind.fields.items()
        if name not in PEFT_FIELDS_LEFT_OUT
    ]
    fields = table(("field", "takes", "default"), rows) if rows else "It has no other fields."
    return f"### {kind.name}\n\nPEFT's `{kind.config}`.\n\n{fields}"


def _default(field: PeftField, facts: PeftTypeFacts) -> str:
    if field.name in facts.required:
        return "required"
    return code(json.dumps(facts.defaults.get(field.name, field.default)))
