"""Distributions that stand in a document where a field of a trial would stand."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from sweeper._text import is_number, shorten
from sweeper.errors import Problem
from sweeper.experiment.documents.tree import Json, get_path
from sweeper.experiment.problems import problems_of
from sweeper.experiment.space.distributions import DISTRIBUTIONS, Distribution

__all__ = ["find_distributions", "read_distribution"]


def find_distributions(tree: Json) -> Iterator[tuple[tuple[str, str], dict[str, Json]]]:
    """Yields path and value of each field of a trial's tree that has a distribution."""
    for section in ("method", "train"):
        branch = get_path(tree, (section,))
        for key, value in branch.items() if isinstance(branch, dict) else ():
            if isinstance(value, dict) and any(kind in value for kind in DISTRIBUTIONS):
                yield (section, key), value


def read_distribution(
    value: dict[str, Json], *, place: str
) -> tuple[Distribution | None, list[Problem]]:
    """Returns a distribution, None where it cannot be read, and its problems.

    Args:
        value: what the document has.
        place: where it stands in the file.
    """
    kinds = [kind for kind in DISTRIBUTIONS if kind in value]
    if len(kinds) > 1:
        return None, [Problem(place, f"is {' and '.join(kinds)} at once; give one of them")]
    model = DISTRIBUTIONS[kinds[0]]
    try:
        distribution = model.model_validate(value)
    except ValidationError as error:
        return None, problems_of(error, model, under=place)
    quoted = [v for v in distribution.candidates() if isinstance(v, str) and is_number(v)]
    if quoted:
        message = f"{shorten(repr(quoted[0]))} is a text; write the number without quotes and _"
        return None, [Problem(place, message)]
    return distribution, []
