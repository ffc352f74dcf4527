"""The page on the search spaces and profiles that come with the package."""

from __future__ import annotations

from pathlib import Path

import yaml

from sweeper_docs.markdown import code, page, table
from sweeper_docs.project import ROOT, SPACES, Spec, SweepSpec, load_sweep

__all__ = ["spaces_page"]

_INTRODUCTION = """
These files are in the folder `search_spaces` of a checkout, and a copy of them is inside an
installed package. `python -m sweeper run FILE --profile NAME` runs a search space on a profile.
"""
_PROFILES = """
A profile that extends another one differs from it only in the fields that it names. A replica of
GPUs takes as many GPUs as the last column says.
"""


def spaces_page() -> str:
    """Returns the page."""
    files = sorted(SPACES.glob("*.yaml")) + sorted((SPACES / "papers").glob("*.yaml"))
    spaces = [_space(path) for path in files]
    profiles = [_profile(path) for path in sorted((SPACES / "profiles").glob("*.yaml"))]
    header = ("profile", "what it is", "extends", "model", "data", "workers of a replica")
    return page(
        "Search spaces and profiles",
        _INTRODUCTION,
        "## Packaged search spaces\n\n"
        + table(("search space", "what it compares", "profile", "trials"), spaces),
        f"## Packaged profiles\n\n{_PROFILES.strip()}\n\n" + table(header, profiles),
    )


def _space(path: Path) -> tuple[str, ...]:
    spec = load_sweep(path).spec
    name = path.relative_to(ROOT).as_posix()
    return (code(name), spec.description, code(spec.profile), str(spec.search.trials))


def _profile(path: Path) -> tuple[str, ...]:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    spec = load_sweep(SPACES / "masa.yaml", profile=path.stem).spec
    extends = code(document["extends"]) if "extends" in document else "–"
    workers = str(spec.resources.workers)
    if spec.resources.gpus_per_worker:
        workers += f", {spec.resources.gpus_per_worker:g} GPU each"
    description = str(document.get("description", ""))
    return (code(path.stem), description, extends, _model(spec), _data(spec), workers)


def _model(spec: SweepSpec) -> str:
    named = _first(spec.model, ("name", "path", "file"))
    return f"{spec.model.kind}: {code(named)}" if named else spec.model.kind


def _data(spec: SweepSpec) -> str:
    named = _first(spec.data, ("name", "path", "train"))
    if isinstance(named, dict | tuple):
        named = ", ".join(named)
    return f"{spec.data.kind}: {code(named)}" if named else spec.data.kind


def _first(spec: Spec, names: tuple[str, ...]) -> object:
    return next((value for name in names if (value := getattr(spec, name, None))), None)
