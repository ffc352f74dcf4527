"""Documents as trees: places in them, and one over another."""

from __future__ import annotations

import pytest

from sweeper.experiment.documents.tree import Document, get_path, merge, set_path

TREE: Document = {"a": {"b": [{"c": 1}, 2]}, "d": None}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((), TREE),
        (("a", "b", "0", "c"), 1),
        (("a", "b", "1"), 2),
        (("a", "b", "2"), None),
        (("a", "b", "c"), None),
        (("d", "e"), None),
        (("nowhere",), None),
    ],
)
def test_a_place_is_read(path: tuple[str, ...], value: object) -> None:
    assert get_path(TREE, path) == value


def test_a_place_is_set_in_a_copy() -> None:
    changed = set_path(TREE, ("a", "b", "0", "c"), 5)
    assert changed == {"a": {"b": [{"c": 5}, 2]}, "d": None}
    assert TREE == {"a": {"b": [{"c": 1}, 2]}, "d": None}
    assert set_path(TREE, (), 5) == 5


def test_missing_branches_are_made() -> None:
    assert set_path({}, ("a", "b"), 1) == {"a": {"b": 1}}
    # What is no mapping gives way.
    assert set_path({"a": 3}, ("a", "b"), 1) == {"a": {"b": 1}}


def test_leaves_are_put_over_and_lists_replaced() -> None:
    base: Document = {"a": {"x": 1, "y": 2}, "b": [1, 2], "c": 3}
    assert merge(base, {"a": {"y": 5}, "b": [7], "d": None}) == {
        "a": {"x": 1, "y": 5},
        "b": [7],
        "c": 3,
        "d": None,
    }


def test_a_branch_of_another_kind_is_replaced() -> None:
    base: Document = {"model": {"kind": "hub", "name": "x"}}
    assert merge(base, {"model": {"kind": "folder"}}) == {"model": {"kind": "folder"}}
    assert merge(base, {"model": {"kind": "hub", "name": "y"}}) == {
        "model": {"kind": "hub", "name": "y"}
    }
    assert merge(base, {"model": {"name": "y"}}) == {"model": {"kind": "hub", "name": "y"}}
