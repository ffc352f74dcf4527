"""Reading YAML: values as in YAML 1.2, and what is wrong with its line."""

from __future__ import annotations

import math

import pytest

from sweeper.errors import SpecError
from sweeper.experiment.documents.tree import Json
from sweeper.experiment.documents.yaml_text import (
    MOST_DEPTH,
    MOST_VALUES,
    dump_yaml,
    parse_yaml,
)


def read(text: str) -> Json:
    return parse_yaml(text, source="a test")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        ("2.5", 2.5),
        ("-2.", -2.0),
        (".5", 0.5),
        ("3", 3),
        ("+3", 3),
        ("-.inf", -math.inf),
        ("010", 10),
        ("-007", -7),
        ("0o17", 15),
        ("0x1F", 31),
        ("!!float 3", 3.0),
        ("1e", "1e"),
        ("1:30", "1:30"),
        ("1:30:00", "1:30:00"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("0o8", "0o8"),
        ("٣", "٣"),
        ("²", "²"),
        ("nan", "nan"),
        ("'3'", "3"),
        ("!!str 3", "3"),
    ],
)
def test_numbers_are_those_of_yaml_1_2(text: str, value: object) -> None:
    found = read(text)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("Null", None),
        ("", None),
        ("# nothing\n", None),
        ("yes", "yes"),
        ("No", "No"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("2024-02-29", "2024-02-29"),
        ("2024-02-29T12:00:00Z", "2024-02-29T12:00:00Z"),
        ("=", "="),
        ("<<", "<<"),
        ("'2024-02-30'", "2024-02-30"),
    ],
)
def test_all_other_plain_values_are_texts(text: str, value: object) -> None:
    assert read(text) == value


def test_not_a_number_is_one() -> None:
    found = read(".nan")
    assert isinstance(found, float)
    assert math.isnan(found)


def test_keys_are_texts_as_they_are_written() -> None:
    text = "{1: a, 010: b, null: c, on: d, 2024-02-30: e, true: f, '<<': g}"
    found = read(text)
    assert isinstance(found, dict)
    assert list(found) == ["1", "010", "null", "on", "2024-02-30", "true", "<<"]


def test_merge_keys_give_way_to_others() -> None:
    text = """
    one: &one {a: 1, b: 2}
    two: &two {b: 3, c: 4}
    before: {<<: *one, b: 5}
    after: {b: 5, <<: *one}
    both: {<<: [*one, *two]}
    nested: {<<: {<<: *two, c: 6}, d: 7}
    none: {<<: []}
    """
    assert read(text) == {
        "one": {"a": 1, "b": 2},
        "two": {"b": 3, "c": 4},
        "before": {"a": 1, "b": 5},
        "after": {"a": 1, "b": 5},
        "both": {"a": 1, "b": 2, "c": 4},
        "nested": {"b": 3, "c": 6, "d": 7},
        "none": {},
    }


def test_what_an_alias_names_is_not_shared() -> None:
    found = read("{a: &a [1], b: *a}")
    assert isinstance(found, dict)
    assert found["a"] == found["b"]
    assert found["a"] is not found["b"]


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("name: [a\n", "line 2, column 1", "not valid YAML"),
        ("a: 1\nb: 2\na: 3\n", "line 3, column 1", "the key 'a' is given twice"),
        ("{1: a, '1': b}", "line 1, column 8", "given twice"),
        ("{a: &a {}, <<: *a, <<: *a}", "line 1, column 20", "the key '<<' is given twice"),
        ("a: 2024-02-30", "line 1, column 4", "there is none such .day is out of range"),
        ("a: 2024-13-01 noon", "line 1, column 4", "month must be in 1..12"),
        ("<<: 3", "line 1, column 5", "takes mappings only"),
        ("<<: [{a: 1}, 3]", "line 1, column 14", "takes mappings only"),
        ("{[a]: b}", "line 1, column 2", "stands as a key; put quotes"),
        ("a: {{x}}", "line 1, column 5", "stands as a key; put quotes"),
        ("? {a: 1}\n: b", "line 1, column 3", "stands as a key"),
        ("a: *b", "line 1, column 4", "undefined alias 'b'"),
        ("a: &b [*b]", "line 1, column 4", "levels stand inside of each other"),
        ("&b {<<: *b}", "line 1, column 1", "levels stand inside of each other"),
        ("a: !!python/object:os.system x", "line 1, column 4", "the tag !!python/object:os"),
        ("a: !mine x", "line 1, column 4", "the tag !mine does not fit here"),
        ("a: !!binary aGk=", "line 1, column 4", "the tag !!binary"),
        ("a: !!set {b}", "line 1, column 4", "the tag !!set"),
        ("a: !!int b", "line 1, column 4", "'b' is none of the values that !!int can have"),
        ("a: !!bool yes", "line 1, column 4", "'yes' is none of the values"),
        ("a: !!timestamp never", "line 1, column 4", "looks like a date"),
        ("a: !!seq {b: c}", "line 1, column 4", "the tag !!seq"),
        ("a: 1\n--- \nb: 2", "line 2, column 1", "expected a single document"),
        ("a: 1e999", "line 1, column 4", "1e999 is too large"),
        ("a: 99999999999999999999", "line 1, column 4", "too large; numbers go from"),
        ("a: " + "9" * 5000, "line 1, column 4", "too large"),
        ('a: "\\ud800"', "line 1, column 4", "half of a surrogate pair"),
        ('a: "x\\0"', "line 1, column 4", "holds a null"),
        ('"\\0": x', "line 1, column 1", "holds a null"),
        ("a: b\nc: \x07", "line 2", "the character '\\\\x07', which no YAML may have"),
        ("a:\n\t- b", "line 2, column 1", "not valid YAML"),
        ("%YAML 9.9\n---\na: b", "line 1, column 1", "not valid YAML"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, where: str, message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        read(text)
    (problem,) = caught.value.problems
    assert problem.path == where
    assert caught.value.source == "a test"
    assert len(str(caught.value)) < 700


def test_depth_is_bounded() -> None:
    fits = "[" * (MOST_DEPTH - 1) + "1" + "]" * (MOST_DEPTH - 1)
    assert read(fits) is not None
    for depth in (MOST_DEPTH, 5000):
        with pytest.raises(SpecError, match=f"more than {MOST_DEPTH} levels"):
            read("[" * depth + "1" + "]" * depth)


def test_an_alias_counts_with_all_that_it_names() -> None:
    lines = ["a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    with pytest.raises(SpecError, match=f"more than {MOST_VALUES:,} values"):
        read("\n".join(lines))
    assert read("\n".join(lines[:4])) is not None
    merged = ["a0: &a0 {x: 1}"]
    merged += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 12)]
    with pytest.raises(SpecError, match=f"more than {MOST_VALUES:,} values"):
        read("\n".join(merged))


@pytest.mark.parametrize("is_flow", [True, False])
@pytest.mark.parametrize(
    "value",
    [
        # Texts that YAML 1.2 or 1.1 would read as something else.
        [
            "1e-4",
            "010",
            "0o17",
            "1.",
            "yes",
            "no",
            "on",
            "true",
            "null",
            "~",
            "",
            "<<",
            "2026-01-01",
        ],
        [1e-4, 3e-05, 1.0, 10, True, None, math.inf, "1:30", "1_000"],
        {"prompt": "{question}\n\nAnswer:", "answer": " {reply}", "note": "a: b # c", "é": "⏎ \\"},
        {"a": [{"b": [1, [2]]}, {}], "c": {"d": []}},
    ],
)
def test_what_is_written_is_read_as_it_was(value, is_flow):
    text = dump_yaml(value, is_flow=is_flow)
    assert read(text) == value
    assert [type(x) for x in value] == [type(x) for x in read(text)]
    if is_flow:
        assert "\n" not in text
