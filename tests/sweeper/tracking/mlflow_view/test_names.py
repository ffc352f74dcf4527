"""Names as MLflow takes them: every text has one, no two texts have the same one."""

from __future__ import annotations

from pathlib import PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.tracking.mlflow_view.names import (
    MAX_NAME,
    cut_value,
    folder_name,
    name_tag,
    shown_name,
)

AWKWARD = [
    "",
    "/",
    "//",
    "a//b",
    "accuracy/",
    "/accuracy",
    ".",
    "..",
    "../../x",
    "a/./b",
    "a/../b",
    "..a",
    "e (mc)",
    "e _mc_",
    "e [mc]",
    "line\nbreak",
    "ends\n",
    "x" * 250,
    "x" * 251,
    "é" * 250 + "/",
    "/" * 400,
    "a/" * 200,
    "\ud800",
    "精度",
]


def is_taken(name):
    """MLflow's own answer."""
    from mlflow.exceptions import MlflowException
    from mlflow.utils.validation import _validate_metric_name

    try:
        _validate_metric_name(name)
    except MlflowException:
        return False
    return len(name) <= MAX_NAME and "\n" not in name


@pytest.mark.parametrize("name", AWKWARD, ids=ascii)
def test_every_name_gets_one_that_mlflow_takes(name):
    shown = shown_name(name)
    assert is_taken(shown)
    assert shown == shown_name(name)
    # What is changed has a tag that says so, and the tag has a name, too.
    assert shown == name or is_taken(name_tag(shown))


def test_no_two_names_become_one():
    assert len({shown_name(name) for name in AWKWARD}) == len(AWKWARD)


@given(st.text(max_size=300))
def test_a_name_is_changed_only_where_mlflow_refuses_it(name):
    shown = shown_name(name)
    assert is_taken(shown)
    if is_taken(name):
        assert shown == name


def test_a_changed_name_still_says_what_it_was():
    assert shown_name("accuracy (%)").startswith("accuracy ___-")
    assert shown_name("accuracy/").startswith("accuracy-")
    assert shown_name("a//b").startswith("a/b-")
    assert shown_name("").startswith("unnamed-")


def test_a_long_value_loses_its_end():
    assert cut_value("x" * 6000) == "x" * 6000
    assert len(cut_value("x" * 6001)) == 6000
    assert cut_value("x" * 6001).endswith("x …")


def test_an_experiment_has_a_folder_of_its_own_in_the_artifacts():
    names = ["sweeper", "my sweeps", "a/b", "a_b", "..", "../..", "", "x" * 300, "é"]
    folders = [folder_name(name) for name in names]
    assert folders[:2] == names[:2]
    assert len(set(folders)) == len(names)
    for folder in folders:
        # One part of a path, which leads nowhere else.
        assert PurePath(folder).name == folder
        assert len(folder) < 255
