"""A template over the fields of a row, and what a field's value is as text."""

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sweeper.data import FieldsFormat, JsonlDataSpec
from sweeper.data.templates import template_of, text_of
from sweeper.errors import DataError

NAMES = st.text(st.characters(exclude_characters="{}", exclude_categories=["Cs"]), min_size=1)


def render(text, row):
    return template_of(text).render(row, where="here")


@given(name=NAMES, value=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_field_may_have_any_name(name, value):
    assert render(f"a {{{name}}} b", {name: value}) == f"a {value} b"


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_doubled_braces_are_braces(text):
    escaped = text.replace("{", "{{").replace("}", "}}")
    assert render(escaped, {}) == text


def test_names_with_spaces_beside_literal_braces():
    row = {"Question Text": "Why?", "id": 3}
    text = '{{"q": "{Question Text}", "id": {{{id}}}}}'
    assert template_of(text).fields == ("Question Text", "id")
    assert render(text, row) == '{"q": "Why?", "id": {3}}'


@pytest.mark.parametrize("text", ['{"a": {b}}', "{a} }", "{", "{a} {}", "{{a}"])
def test_a_brace_of_no_field_is_refused_and_says_how_one_is_written(text):
    message = r"has a brace that names no field .*written twice, '\{\{' or '\}\}'"
    with pytest.raises(ValidationError, match=message):
        FieldsFormat(prompt=text)
    with pytest.raises(ValidationError, match=message):
        FieldsFormat(domain=text)
    with pytest.raises(ValidationError, match=message):
        JsonlDataSpec(path="p", unit=text)


def test_a_brace_that_names_no_field_lists_the_fields():
    with pytest.raises(
        DataError,
        match=r"here: no field 'Qestion Text'; did you mean 'Question Text'\?; its fields are "
        r"Question Text, id; .*written twice",
    ):
        render("{Qestion Text}", {"id": 1, "Question Text": "a"})
    with pytest.raises(DataError, match=r"no field ' x y'; its fields are x"):
        render("{ x y}", {"x": 1})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (None, ""),
        (math.nan, ""),
        (0, "0"),
        (Decimal("1.50"), "1.50"),
        ("NA", "NA"),
        ("😀", "😀"),
    ],
)
def test_values(value, text):
    assert text_of({"a": value}, "a", where="here") == text


@pytest.mark.parametrize("value", [None, math.nan, "", "  "])
def test_an_answer_of_nothing_is_refused(value):
    with pytest.raises(DataError, match="here: the answer is empty"):
        FieldsFormat(answer=" {answer}").read({"prompt": "a", "answer": value}, where="here")


@pytest.mark.parametrize("value", ["a \ud83d", "\ude00", "a\ud800b"])
def test_half_of_a_character_is_refused(value):
    with pytest.raises(DataError, match=r"here: field 'a' has half of a character \(.u(d|D)"):
        text_of({"a": value}, "a", where="here")


def test_what_a_template_writes_is_marked():
    chosen = FieldsFormat(prompt="<|user|>{q}\n{gone}[/{role}]\nA:", answer=" {a}</s>")
    row = {"q": "<|user|>", "gone": None, "role": "INST", "a": "b"}
    example = chosen.read(row, where="here")
    assert example.prompt == "<|user|><|user|>\n[/INST]\nA:"
    marked = [example.prompt[start:end] for start, end in example.prompt_marks]
    assert marked == ["<|user|>", "[/", "]"]
    assert example.prompt_marks[0] == (0, 8)
    assert [example.answer[start:end] for start, end in example.answer_marks] == ["</s>"]
