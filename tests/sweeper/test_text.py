"""Numbers, durations and parameters as text."""

from __future__ import annotations

import pytest

from sweeper._text import (
    count,
    differing,
    duration,
    guess,
    level_text,
    listed,
    nearest,
    params_text,
    shorten,
    value_text,
    varying,
    written,
)
from sweeper.errors import Problem, SpecError


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (4.24, "4.2 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.6, "1 h 00 min"),
        (7620, "2 h 07 min"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_a_value_of_a_file_has_the_files_word_for_none():
    assert written({"choice": [None, "a", 16, True]}) == "{'choice': [null, 'a', 16, True]}"
    assert written((None,)) == "(null)"
    assert written("None") == "'None'"


def test_values():
    assert value_text(0.0031622) == "0.00316"
    assert value_text(["q", "v"]) == "q,v"
    assert value_text({"q": 1, "v": 0.5}) == "q:1,v:0.5"
    empty: tuple[object, ...] = (None, [], (), {})
    assert [value_text(x) for x in empty] == ["none"] * 4
    assert [value_text(x) for x in (0, False, 0.0)] == ["0", "False", "0"]
    assert value_text(8) == "8"
    assert level_text(0.0031622) == "0.0031622"
    assert [level_text(x) for x in (1e-4, 3e-2, 10.0, 8, None)] == [
        "0.0001",
        "0.03",
        "10",
        "8",
        "none",
    ]
    assert count(1, "trial") == "1 trial"
    assert count(0, "trial") == "0 trials"


def test_what_varies():
    first, second = {"a": 1, "b": 1, "l": [1]}, {"a": 2, "b": 1, "c": 3, "l": [2]}
    assert varying([first, second]) == ["a", "l"]
    # Long ones come last, and are told where they differ alone.
    assert varying([{"l": [1], "a": 1}, {"l": [2], "a": 2}]) == ["a", "l"]
    assert varying([{"l": [1], "a": 1}, {"l": [1], "a": 2}]) == ["a"]
    assert varying([{"l": None, "a": 1}, {"l": [1], "a": 1}]) == ["l"]
    # A parameter that only some methods have does not differ by that.
    assert varying([first]) == ["a", "b"]
    assert params_text(second, ["c", "x", "a"]) == "c=3 a=2"
    # Trials that differ in a mapping alone are told apart by it.
    patterns: list[dict[str, object]] = [{"a": 1, "p": {}}, {"a": 1, "p": {"q_proj": 4}}]
    assert varying(patterns) == ["p"]
    assert [params_text(x, ["p"]) for x in patterns] == ["p=none", "p=q_proj:4"]
    assert varying(patterns[1:]) == ["a"]


def test_a_configuration_is_named_once():
    params = {"seed": 1, "learning_rate": 0.00159, "configuration": "lora, learning_rate=0.00159"}
    names = ["seed", "learning_rate", "configuration"]
    assert params_text(params, names) == "lora, learning_rate=0.00159 seed=1"
    assert params_text({"configuration": None, "seed": 1}, names) == "seed=1"


def test_near_names_are_offered():
    known = ["masa", "mosa", "lora"]
    assert guess("maso", known, most=2) == "did you mean 'masa' or 'mosa'?"
    assert guess("zzz", known, otherwise="choose one") == "choose one"
    assert nearest("lra", known) == "; did you mean 'lora'?"
    assert nearest("zzz", known) == ""
    # What has been named is not what is meant.
    assert nearest("masa", ["masa"]) == ""


def test_long_values_lose_their_middle():
    assert shorten("short") == "short"
    assert shorten([1, "a"]) == "[1, 'a']"
    text = shorten("a" * 500 + "b" * 500, limit=40)
    assert len(text) == 40
    assert text == "a" * 26 + "…" + "b" * 13
    assert len(shorten(list(range(10**5)))) == 200


def test_a_message_of_many_long_problems_is_short():
    problems = [Problem("p" * 9000, "m" * 9000 + " the remedy") for _ in range(1000)]
    error = SpecError("s" * 9000, problems)
    assert len(str(error)) < 5000
    assert str(error).count("the remedy") >= 2
    assert "more; correct these first" in str(error)
    assert len(error.problems) == 1000
    few = SpecError("x", [Problem("a", "b"), Problem("", "c")])
    assert str(few) == "x: 2 problems\n  a: b\n  c"


def test_the_first_of_many_names_are_listed():
    assert listed(["a", "b"], most=2) == listed(["a", "b"], most=2, is_counted=True) == "a, b"
    assert listed(["a", "b", "c"], most=2) == "a, b, …"
    assert listed(["a", "b", "c", "d"], most=2, is_counted=True) == "a, b and 2 more"
    assert listed([], most=2) == ""


def test_a_list_varies_where_it_differs_within_a_method():
    trials = [{"rank": 1, "seed": 0, "targets": ["q"]}, {"rank": 2, "seed": 0, "targets": ["k"]}]
    assert differing(trials) == ["rank"]
    assert varying(iter(trials)) == ["rank", "targets"]
    named = [
        {**trial, "method": name} for trial, name in zip(trials, ("lora", "mosa"), strict=True)
    ]
    assert varying(named) == ["rank", "method"]
    assert (differing(trials[:1]), varying(trials[:1])) == ([], ["rank", "seed"])
