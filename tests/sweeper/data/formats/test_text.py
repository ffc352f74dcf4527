"""Plain text has no prompt, and each row is a unit by itself."""

import pytest

from sweeper.data import TextFormat
from sweeper.data.units import is_told_by_answer
from sweeper.errors import DataError


def test_a_row_is_a_document():
    found = TextFormat(field="body", domain="{of}").read({"body": "Once.\n", "of": "a"}, where="x")
    assert (found.prompt, found.answer, found.domain) == ("", "Once.\n", "a")
    assert found.is_document
    assert is_told_by_answer(found)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": " \n"}, r"x: the text is empty \(field 'text'\)"),
        ({"body": "Once."}, "no field 'text'; its fields are body"),
        ({"text": ["Once."]}, "field 'text' is a list"),
    ],
)
def test_rows_that_are_none(row, message):
    with pytest.raises(DataError, match=message):
        TextFormat().read(row, where="x")
