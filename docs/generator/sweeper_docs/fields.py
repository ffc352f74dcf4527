"""Tables of the fields of a spec."""

from __future__ import annotations

from collections.abc import Container, Mapping

from pydantic import BaseModel

from sweeper_docs.kinds import default_of, kind_of
from sweeper_docs.markdown import code, paragraphs, plain, table

__all__ = ["fields_table", "section"]

_HEADER = ("field", "takes", "default", "meaning")


def fields_table(
    spec: type[BaseModel],
    *,
    leaving_out: Container[str] = (),
    links: Mapping[str, str] | None = None,
    defaults: Mapping[str, str] | None = None,
) -> str:
    """Returns a table of the fields of a spec, under the names that they have in YAML.

    Args:
        spec: the model.
        leaving_out: fields that are not shown.
        links: what stands in the place of what a field takes, by field.
        defaults: what stands in the place of a field's default, by field.
    """
    rows = [
        (
            code(field.alias or name),
            (links or {}).get(name) or kind_of(field),
            (defaults or {}).get(name) or default_of(field),
            plain(field.description).replace("\n\n", " "),
        )
        for name, field in spec.model_fields.items()
        if name not in leaving_out
    ]
    return table(_HEADER, rows) if rows else "It has no other fields."


def section(
    heading: str,
    spec: type[BaseModel],
    *,
    level: int = 2,
    note: str = "",
    leaving_out: Container[str] = (),
    links: Mapping[str, str] | None = None,
    defaults: Mapping[str, str] | None = None,
) -> str:
    """Returns a section on a spec: heading, its docstring, a note, its fields.

    Args:
        heading: of the section.
        spec: the model.
        level: of the heading.
        note: Markdown between docstring and table.
        leaving_out: as in :func:`fields_table`.
        links: as in :func:`fields_table`.
        defaults: as in :func:`fields_table`.
    """
    parts = [f"{'#' * level} {heading}", paragraphs(plain(spec.__doc__)), note]
    parts.append(fields_table(spec, leaving_out=leaving_out, links=links, defaults=defaults))
    return "\n\n".join(part for part in parts if part)
