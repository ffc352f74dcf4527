"""Templates over fields give the examples that one would write by hand."""

import pytest
from pydantic import ValidationError

from sweeper.data import Example, FieldsFormat
from sweeper.errors import DataError


def test_templates():
    chosen = FieldsFormat(
        prompt="{instruction}\n{context}\n\nAnswer:", answer=" {response}", domain="{category}"
    )
    row = {"instruction": "Add {these}.", "context": "1, 2", "response": 3, "category": "math"}
    assert chosen.read(row, where="here") == Example(
        prompt="Add {these}.\n1, 2\n\nAnswer:", answer=" 3", domain="math"
    )


def test_a_line_of_empty_fields_is_left_out():
    chosen = FieldsFormat(prompt="{instruction}\n{context}\nAnswer:", answer="{response}")
    row = {"instruction": "Add.", "context": None, "response": "3"}
    assert chosen.read(row, where="here").prompt == "Add.\nAnswer:"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "?", "reply": "!"}, r"no field 'answer'; its fields are question, reply"),
        ({"prompt": "?", "answer": " "}, "the answer is empty"),
        ({"prompt": ["?"], "answer": "!"}, "field 'prompt' is a list"),
    ],
)
def test_malformed_rows(row, message):
    with pytest.raises(DataError, match=message):
        FieldsFormat().read(row, where="here")


def test_a_template_must_name_a_field():
    with pytest.raises(ValidationError, match="names no field"):
        FieldsFormat(prompt="Say something")
