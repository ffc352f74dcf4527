"""Reading YAML: numbers as in YAML 1.2, and what is wrong with its line."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from sweeper.errors import SpecError
from sweeper.experiment.documents.yaml_files import parse_yaml
from sweeper.experiment.loading import load_sweep


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [a\n", "not valid YAML"),
        ("name: a\nname: b\n", "given twice"),
        ("- a\n- b\n", "not a mapping"),
        ("", "not a mapping"),
    ],
)
def test_what_is_not_a_mapping_in_yaml_is_refused(space: Path, text: str, message: str) -> None:
    space.write_text(text)
    with pytest.raises(SpecError, match=message):
        load_sweep(space)


def test_a_syntax_error_has_line_and_column(space: Path) -> None:
    space.write_text("name: tiny\nmethods: [\n  {name: masa\n")
    with pytest.raises(SpecError, match=r"line \d+, column \d+"):
        load_sweep(space)


def test_1e_minus_4_is_a_number_in_files_and_overrides(space: Path) -> None:
    sweep = load_sweep(space, overrides=["train.weight_decay=1e-2"])
    assert sweep.space.trial(next(p for _, p in sweep.space.corners())).train.weight_decay == 0.01


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        ("2.5", 2.5),
        (".5", 0.5),
        ("3", 3),
        ("1e", "1e"),
        ("-.inf", -math.inf),
    ],
)
def test_numbers_are_those_of_yaml_1_2(text: str, value: object) -> None:
    assert parse_yaml(text, source="a test") == value


def test_a_missing_file_names_the_nearest(space: Path) -> None:
    with pytest.raises(SpecError, match=r"did you mean 'tiny\.yaml'"):
        load_sweep(space.with_name("tinny.yaml"))
