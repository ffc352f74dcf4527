"""Questions with options become prompts and choices, whatever way the right one is told."""

import pytest
from pydantic import ValidationError

from sweeper.data import ChoicesFormat, Example
from sweeper.errors import DataError

OPTIONS = ["two", "three", "22"]
PROMPT = "1 + 1?\nA. two\nB. three\nC. 22\nAnswer:"


def row(answer, options=OPTIONS):
    return {"question": "1 + 1?", "options": options, "answer": answer}


def read(chosen, own):
    return chosen.read(own, where="here")


@pytest.mark.parametrize("answer", ["B", "b", "(B)", "B.", 1, "1", "three"])
def test_a_list_of_options(answer):
    assert read(ChoicesFormat(), row(answer)) == Example(
        prompt=PROMPT, answer=" B", choices=(" A", " B", " C")
    )


@pytest.mark.parametrize(
    "options",
    [
        {"A": "two", "B": "three", "C": "22"},
        {"label": ["1", "2", "3"], "text": OPTIONS},
        '["two", "three", "22"]',
        '["two", "three", 22, null]',
        {"label": ["1", "2", "3", "4"], "text": [*OPTIONS, float("nan")]},
        {"A": "two", "B": "three", "C": 22, "D": None},
    ],
)
def test_other_ways_to_list_them(options):
    answer = "2" if "label" in options else "B"
    found = read(ChoicesFormat(), row(answer, options))
    assert (found.prompt, found.answer) == (PROMPT, " B")


def test_a_field_each_and_the_text_of_an_option():
    chosen = ChoicesFormat(
        question="{q}", options=("A", "B", "C"), answer="key", reading="cloze", domain="{of}"
    )
    own = {"q": "1 + 1?", "A": "two", "B": "three", "C": "", "key": "A", "of": "sums"}
    assert read(chosen, own) == Example(
        prompt="1 + 1?\nAnswer:", answer=" two", choices=(" two", " three"), domain="sums"
    )
    assert chosen.fields() == ("q", "of", "A", "B", "C", "key")


def test_numbers_may_count_from_1():
    assert read(ChoicesFormat(counted_from=1), row(1)).answer == " A"
    with pytest.raises(DataError, match=r"the answer is '0' .* the number \(from 1\)"):
        read(ChoicesFormat(counted_from=1), row(0))


def test_a_number_that_is_a_text_too():
    listed = ["1", "0", "5"]
    assert read(ChoicesFormat(), row(1, listed)).answer == " B"
    with pytest.raises(DataError, match="the number of one option and the text of another"):
        read(ChoicesFormat(), row("1", listed))
    assert read(ChoicesFormat(), row("5", listed)).answer == " C"


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (row("D"), "here: the answer is 'D' .* the options are A, B, C"),
        (row("A", ["two"]), "1 options with a text"),
        (row("A", ["two", None, "22"]), "option 1 of 3 .from 0. is null"),
        (row("A", ["two", ["three"]]), r"field 'options\[1\]' is a list"),
        (row("A", {"A": "two", "B": {"x": 1}}), "options: field 'B' is a dict"),
        (row("A", {"label": "AB", "text": "xy"}), "of equal length"),
        (row("A", 7), "field 'options' is a int that lists no options"),
        (row("A", {"label": ["A"], "text": OPTIONS}), "of equal length"),
        (row("A", {str(number): "x" for number in range(27)}), "27 options; .* has at most 26"),
        (row("A", "[" * 100_000), "field 'options' is a str that lists no options"),
        ({"question": "?", "answer": "A"}, "no field 'options'; its fields are answer, question"),
    ],
)
def test_rows_that_are_none(own, message):
    with pytest.raises(DataError, match=message):
        read(ChoicesFormat(), own)


def test_the_question_names_a_field():
    with pytest.raises(ValidationError, match="names no field"):
        ChoicesFormat(question="Which?")
