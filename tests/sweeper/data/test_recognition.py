"""What rows are is told from the rows, and tried on each of them."""

import json
import re

import pytest

from sweeper.data import FieldsFormat, recognise

ALPACA = {"instruction": "Add.", "input": "1, 2", "output": "3"}
PAIR = {"prompt": "Say a.", "completion": "a"}
ASKED = {"question": "Is ice cold?", "answer": "yes", "source": "a book"}
CHAT = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}
SHAREGPT = {"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ho"}]}
TEXT = {"text": "Once upon a time.", "url": "u"}
LISTED = {"question": "1 + 1?", "options": ["two", "three"], "answer": "A"}
COLUMNS = {"question": "1 + 1?", "A": "two", "B": "three", "C": "four", "answer": "A"}
ARC = {
    "id": "x",
    "question": "1 + 1?",
    "choices": {"text": ["two", "three"], "label": ["1", "2"]},
    "answerKey": "1",
}
ASKED_FOR = {"question": "{question}"}
LLM_ADAPTERS = {
    "instruction": "Is ice cold?\n\nAnswer format: true/false",
    "input": "",
    "output": "the correct answer is true",
    "answer": "true",
}


@pytest.mark.parametrize(
    ("row", "kind", "settings"),
    [
        (ALPACA, "alpaca", {"prompt": "{instruction}\n{input}\nAnswer:", "answer": " {output}"}),
        (PAIR, "prompt/completion", {"prompt": "{prompt}", "answer": " {completion}"}),
        # These rows bring the space themselves.
        (
            {"prompt": "1 and 2 is", "completion": " 3"},
            "prompt/completion",
            {"prompt": "{prompt}", "answer": "{completion}"},
        ),
        (
            {"prompt": "1 and 2 is\n", "completion": "3"},
            "prompt/completion",
            {"prompt": "{prompt}", "answer": "{completion}"},
        ),
        (
            ASKED,
            "question/answer",
            {"prompt": "Question: {question}\nAnswer:", "answer": " {answer}"},
        ),
        (CHAT, "messages", {"field": "messages"}),
        ({"chat": CHAT["messages"]}, "messages", {"field": "chat"}),
        ({"messages": json.dumps(CHAT["messages"])}, "messages", {"field": "messages"}),
        (SHAREGPT, "sharegpt", {"field": "conversations"}),
        (TEXT, "text", {"field": "text"}),
        ({"line": "Once."}, "text", {"field": "line"}),
        (LISTED, "choices", ASKED_FOR | {"options": ["options"], "answer": "answer"}),
        (COLUMNS, "choices", ASKED_FOR | {"options": ["A", "B", "C"], "answer": "answer"}),
        (ARC, "choices", ASKED_FOR | {"options": ["choices"], "answer": "answerKey"}),
        (LLM_ADAPTERS, "llm_adapters", {}),
    ],
)
def test_each_form_is_recognised(row, kind, settings):
    found = recognise([row, row])
    assert found.kind == kind, found.reason
    assert found.fields == tuple(row)
    assert found.rows == 2
    assert found.settings() == {"name": found.format.name} | settings
    # What is proposed can be written into a file and reads the rows.
    again = type(found.format).model_validate(found.settings())
    assert again.read(row, where="here").answer.strip()


def test_the_order_of_fields_does_not_matter():
    for row in (ALPACA, ASKED, COLUMNS, ARC):
        turned = dict(reversed(row.items()))
        assert recognise([turned]).format == recognise([row]).format


def test_a_field_that_some_rows_lack_is_empty_there():
    rows = [ALPACA, {"instruction": "Say a.", "output": "a"}]
    found = recognise(rows)
    assert found.kind == "alpaca"
    whole = {"input": None, **rows[1]}
    assert found.format.read(whole, where="here").prompt == "Say a.\nAnswer:"


@pytest.mark.parametrize(
    ("numbers", "first"), [((0, 1), 0), ((1, 2), 1), (("2", "1"), 1), (("1", "0"), 0)]
)
def test_whether_answers_count_from_0_or_1(numbers, first):
    rows = [{"question": "?", "options": ["x", "y"], "answer": n} for n in numbers]
    found = recognise(rows)
    assert found.format.counted_from == first
    right = [found.format.read(row, where="here").answer for row in rows]
    assert right == [" A" if int(n) == first else " B" for n in numbers]


NUMBERED = [
    ["x", "y", "z"],
    '["x", "y", "z"]',
    '{"A": "x", "B": "y", "C": "z"}',
    {"text": ["x", "y", "z"], "label": ["A", "B", "C"]},
]


@pytest.mark.parametrize("options", NUMBERED)
def test_options_of_any_form_are_counted_alike(options):
    for numbers, first in (("12", None), ("13", 1), ("02", 0)):
        found = recognise({"question": "?", "options": options, "answer": n} for n in numbers)
        assert (found.format and found.format.counted_from) == first
    # Where the labels are numbers, nothing is counted.
    labelled = {"text": ["x", "y"], "label": ["3", "1"]}
    found = recognise([{"question": "?", "options": labelled, "answer": "1"}])
    own = {"question": "?", "options": labelled, "answer": "1"}
    assert found.format.read(own, where="here").answer == " B"


def test_in_doubt_nothing_is_proposed():
    row = {"question": "?", "options": ["x", "y", "z"], "answer": 1}
    found = recognise([row, row])
    assert (found.kind, found.format) == (None, None)
    assert "whether they count from 0 or from 1 cannot be told" in found.reason
    with pytest.raises(ValueError, match="no format was recognised"):
        found.settings()


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([], "there are no rows"),
        ([{"subject": "a", "body_mass": 3}], r"these fields: subject, body_mass; .*'{subject}'"),
        ([ALPACA, {**ALPACA, "output": ""}], "like alpaca .* row 1: the answer is empty"),
        ([CHAT, {"messages": []}], "like messages .* row 1: field 'messages' is empty"),
        # A question without its options would be another task.
        ([{**LISTED, "answer": "F"}], "like choices .* the options are A, B"),
    ],
)
def test_why_none_fits(rows, reason):
    found = recognise(rows)
    assert found.format is None
    assert found.rows == len(rows)
    assert re.search(reason, found.reason), found.reason


def test_only_the_first_rows_are_looked_at():
    def rows():
        yield from [PAIR] * 100
        raise AssertionError("read on")

    assert recognise(rows()).format == FieldsFormat(answer=" {completion}")
