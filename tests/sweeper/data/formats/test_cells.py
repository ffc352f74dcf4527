"""JSON in a cell: whatever is wrong with it is one error."""

from datetime import date

import pytest

from sweeper.data.formats.cells import read_json, write_json
from sweeper.errors import DataError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expecting property name"),
        ("[" * 100_000, "its lists and objects are nested too deeply"),
        ("9" * 5000, "limit"),
    ],
)
def test_what_cannot_be_read_is_a_value_error(text, message):
    with pytest.raises(ValueError, match=message):
        read_json(text)
    assert read_json('{"a": [1, null]}') == {"a": [1, None]}


def deep():
    found: list[object] = []
    for _ in range(100_000):
        found = [found]
    return found


@pytest.mark.parametrize("value", [date(2026, 1, 2), b"x", deep()], ids=["date", "bytes", "deep"])
def test_what_cannot_be_written_is_told_with_its_place(value):
    with pytest.raises(DataError, match=r"f:1: it cannot be written as JSON .*leave it out"):
        write_json({"at": value}, where="f:1")
    assert write_json({"a": "ä"}, where="f:1") == '{"a": "ä"}'
