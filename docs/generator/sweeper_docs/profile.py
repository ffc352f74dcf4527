"""The page on the fields of a profile."""

from __future__ import annotations

from sweeper_docs.fields import fields_table, section
from sweeper_docs.markdown import page
from sweeper_docs.project import (
    EngineSpec,
    ResourcesSpec,
    SweepSpec,
    data_kinds,
    formats,
    model_kinds,
)

__all__ = ["profile_page"]

_INTRODUCTION = """
A profile says on what a sweep runs: model, data, DeepSpeed and the resources of a replica. It is
a file in a folder `profiles/` beside the search space, or one of those that come with the package
([list](spaces-and-profiles.md)). `--profile` takes its name or its path.

A profile may hold any key of a [search space](search-space.md), such as `train` or `search`. The
search space's own value goes before the profile's, and `--set` before both. `extends: NAME` takes
the fields of another profile in the same folder, and what the file itself says goes before them.

A search space may hold all of it itself: one with `model` and `data` has no profile.
"""
_LINKS = {"model": "[section](#model)", "data": "[section](#data)"}
_LINKS |= {"engine": "[section](#engine)", "resources": "[section](#resources)"}
_MODEL = "The field `kind` says where the frozen base model comes from."
_DATA = "The field `kind` says where the examples come from."
_FORMAT = "The field `name` says how a row becomes a prompt and an answer."


def profile_page() -> str:
    """Returns the page."""
    rows = {"format": "[section](#formats-of-rows)"}
    return page(
        "Profiles",
        _INTRODUCTION,
        "## Keys of the file\n\n"
        + fields_table(
            SweepSpec,
            leaving_out=SweepSpec.model_fields.keys() - {"name", "description", *_LINKS},
            links=_LINKS,
            defaults={"name": "the name of the file"},
        ),
        f"## model\n\n{_MODEL}",
        *(section(f"model of kind {name}", spec, level=3) for name, spec in model_kinds().items()),
        f"## data\n\n{_DATA}",
        *(
            section(f"data of kind {name}", spec, level=3, links=rows)
            for name, spec in data_kinds().items()
        ),
        f"## Formats of rows\n\n{_FORMAT}",
        *(section(f"format {name}", spec, level=3) for name, spec in formats().items()),
        section("engine", EngineSpec),
        section("resources", ResourcesSpec),
    )
