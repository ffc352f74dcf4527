"""Functions in a document: each gets its absolute path and the hash of its file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from sweeper.errors import BadInputError, Problem, SpecError
from sweeper.experiment.documents.python_files import find_beside
from sweeper.experiment.documents.tree import Document, Json, get_path, set_path
from sweeper.experiment.metrics.functions import PythonMetricSpec
from sweeper.experiment.metrics.modes import Mode

__all__ = ["locate_functions", "own_modes"]


def own_modes(document: Mapping[str, Json]) -> dict[str, Mode]:
    """Returns whether lower or higher values are better, by name of each metric of one's own.

    Args:
        document: of a sweep; what is wrong in it is passed over.
    """
    found: dict[str, Mode] = {}
    for entry in _functions(document):
        python, given = entry.get("python"), entry.get("mode")
        name = entry.get("name") or str(python).rpartition(":")[2]
        mode: Mode | None = "min" if given == "min" else "max" if given == "max" else None
        if isinstance(name, str) and mode is not None:
            found[name] = mode
    return found


def _functions(document: Mapping[str, Json]) -> Iterable[dict[str, Json]]:
    entries = get_path(document.get("evaluation"), ("metrics",))
    if isinstance(entries, list):
        yield from (entry for entry in entries if isinstance(entry, dict))


def locate_functions(document: Document, *, path: Path) -> Document:
    """Returns the document with path and hash of each function in ``evaluation.metrics``.

    The objective gets the mode of such a metric where it has none of its own. What is wrong
    otherwise is left to those who read the sections.

    Args:
        document: with its profile and its overrides.
        path: of the search-space file, beside which a relative path is looked for first.

    Raises:
        SpecError: there is no such file, or it is not that of the hash which is given.
    """
    entries = get_path(document.get("evaluation"), ("metrics",))
    problems: list[Problem] = []
    if isinstance(entries, list):
        located = partial(_located, folder=path.parent, problems=problems)
        found = [located(entry, number) for number, entry in enumerate(entries)]
        document = _changed(document, ("evaluation", "metrics"), found)
    if problems:
        raise SpecError(str(path), problems)
    metric = get_path(document.get("objective"), ("metric",))
    mode = own_modes(document).get(metric.partition("/")[0]) if isinstance(metric, str) else None
    if mode is None or get_path(document["objective"], ("mode",)) is not None:
        return document
    return _changed(document, ("objective", "mode"), mode)


def _located(entry: Json, number: int, *, folder: Path, problems: list[Problem]) -> Json:
    try:
        spec = PythonMetricSpec.model_validate(entry)
    except ValidationError:
        # It is told with the problems of the sections.
        return entry
    assert isinstance(entry, dict)
    where = f"evaluation.metrics.{number}.python"
    try:
        if spec.is_file:
            file = find_beside(spec.python, spec.place, folder)
            spec = spec.model_copy(update={"python": f"{file}:{spec.function}"})
        return {**entry, "python": spec.python, "sha256": spec.with_hash().sha256}
    except BadInputError as error:
        problems.append(Problem(where, str(error).removeprefix("evaluation.metrics: ")))
        return entry


def _changed(document: Document, keys: tuple[str, ...], value: Json) -> Document:
    changed = set_path(document, keys, value)
    assert isinstance(changed, dict)
    return changed
