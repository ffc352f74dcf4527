"""A document as a plain tree: places in it are read and set, and one is put over another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = [
    "Document",
    "Json",
    "Scalar",
    "get_path",
    "merge",
    "merge_training",
    "position_in",
    "set_path",
]

Scalar = bool | int | float | str
Json = Scalar | None | list["Json"] | dict[str, "Json"]
Document = dict[str, Json]
"""What a search-space file or a profile says, before its fields are checked."""


def get_path(tree: Json, path: tuple[str, ...]) -> Json:
    """Returns the leaf or branch at ``path``, or None where there is none."""
    for key in path:
        if isinstance(tree, list) and (index := position_in(tree, key)) is not None:
            tree = tree[index]
        elif isinstance(tree, dict) and key in tree:
            tree = tree[key]
        else:
            return None
    return tree


def position_in(items: Sequence[Json], key: str) -> int | None:
    """Returns the position in a list that a key of a path names; None where it names none."""
    # Python refuses to read thousands of digits, and "²" is a digit, but no number.
    index = int(key) if key.isdecimal() and len(key) < 10 else len(items)
    return index if index < len(items) else None


def set_path(tree: Json, path: tuple[str, ...], value: Json) -> Json:
    """Returns a copy of ``tree`` with ``value`` at ``path``; missing branches are made."""
    if not path:
        return value
    key, rest = path[0], path[1:]
    if isinstance(tree, list) and (place := position_in(tree, key)) is not None:
        return [
            set_path(item, rest, value) if index == place else item
            for index, item in enumerate(tree)
        ]
    branch = tree if isinstance(tree, dict) else {}
    return {**branch, key: set_path(branch.get(key), rest, value)}


def merge_training(base: Document, over: Mapping[str, Json]) -> Document:
    """Returns ``merge(base, over)`` of two sections ``train``.

    Steps and epochs both say how long training is: what one of them is put over is the other. The
    rows of an epoch go with the epochs.
    """
    merged = merge(base, over)
    if "epochs" in over and "steps" not in over:
        merged.pop("steps", None)
    if "steps" in over and "epochs" not in over and "epochs" in merged:
        gone = {"epochs", "epoch_rows"} - over.keys()
        merged = {key: value for key, value in merged.items() if key not in gone}
    return merged


def merge(base: Document, over: Mapping[str, Json]) -> Document:
    """Returns ``base`` with the leaves of ``over`` put over it; lists are replaced whole.

    A branch that names another ``kind`` than the base's replaces it: the old kind's fields would
    not fit.
    """
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        same_kind = (
            isinstance(old, dict)
            and isinstance(value, dict)
            and value.get("kind", old.get("kind")) == old.get("kind")
        )
        if same_kind and isinstance(old, dict) and isinstance(value, dict):
            merged[key] = merge(old, value)
        else:
            merged[key] = value
    return merged
