"""JSON as it is written, and every way it can be broken."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.data.reading.files import read_rows
from sweeper.data.reading.json_rows import WrittenNumber
from sweeper.data.templates import text_of
from sweeper.errors import DataError


def rows(path, content):
    path.write_text(content)
    return [row for _, row in read_rows(path)]


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("1.0", "1.0"),
        ("1e5", "1e5"),
        ("1E+05", "1E+05"),
        ("0.10", "0.10"),
        ("-0", "-0"),
        ("12", "12"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("9" * 5000, "9" * 5000),
        ("1e999", "1e999"),
        ("-Infinity", "-Infinity"),
        ("NaN", ""),
        ("null", ""),
        ("true", "true"),
        ("false", "false"),
    ],
)
def test_a_value_keeps_its_text(tmp_path, written, text):
    for name in ("a.jsonl", "a.json"):
        content = f'{{"a": {written}}}'
        [row] = rows(tmp_path / name, content if name == "a.jsonl" else f"[{content}]")
        assert text_of(row, "a", where="here") == text


@given(st.floats(allow_nan=False))
def test_a_written_number_is_the_number(number):
    written = WrittenNumber(repr(number))
    assert written == number
    assert str(written) == repr(number)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"a": 1, "b": 2, "a": 3}', r":2: the field 'a' is there twice"),
        ('{"a": {"b": 1, "b": 1}}', r":2: the field 'b' is there twice"),
        ('{"a": "cut', r":2: not JSON \(Unterminated string"),
        ("[" * 100_000, r":2: not JSON that can be read \(it is nested too deeply\)"),
        ('"text"', r":2: a JSON str; each row must be one JSON object"),
        ('{"a": 1} {"a": 2}', r":2: not JSON \(Extra data"),
        ("\0", r":2: not JSON"),
    ],
)
def test_a_bad_line_is_told_with_its_number(tmp_path, line, message):
    good, bad = rows(tmp_path / "a.jsonl", f'{{"a": 1}}\n{line}\n')
    assert good == {"a": 1}
    assert isinstance(bad, DataError)
    with pytest.raises(DataError, match=message):
        raise bad


def test_a_mark_at_the_beginning_is_no_text(tmp_path):
    assert rows(tmp_path / "a.jsonl", '\ufeff{"a": 1}\n') == [{"a": 1}]
    assert rows(tmp_path / "a.json", '\ufeff[{"a": 1}]') == [{"a": 1}]


def test_documents_of_other_forms(tmp_path):
    wanted = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    assert rows(tmp_path / "a.json", json.dumps({"a": [1, 2], "b": ["x", "y"]})) == wanted
    assert rows(tmp_path / "a.json", "\n".join(map(json.dumps, wanted)) + "\n") == wanted
    with pytest.raises(DataError, match=r"a\.json: not JSON \(Expecting"):
        rows(tmp_path / "a.json", '[{"a": 1},\n{"a": }]')
    bad = rows(tmp_path / "a.json", '[{"a": 1}, 2]')[1]
    assert "a.json, row 1: a JSON int" in str(bad)
