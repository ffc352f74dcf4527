"""The order of rows: a name for what was asked, and what belongs together."""

from dataclasses import replace

import pytest

from sweeper.data import Example
from sweeper.data.questions import questions_of
from sweeper.data.row_order import row_order
from tests.sweeper import tiny

LONG = "1" * 30
ROWS = (
    Example("1+1=", "2", task="sums", metrics=("exact",), domain="one"),
    Example("2+2=", "4", task="sums", metrics=("exact",), domain="two"),
    Example("a ", "b", choices=("a", "b"), task="letters", domain="two"),
)


def order_of(*examples, generates=True):
    questions = questions_of(examples, tiny.tokenizer(), 16, domains=("one", "two"))
    return row_order(questions, generates=generates)


def test_the_same_rows_in_the_same_order_have_one_name():
    first = order_of(*ROWS)
    assert first == order_of(*ROWS)
    assert first.tasks == ("sums", "sums", "letters")
    assert first.clusters is None
    assert order_of(*reversed(ROWS)).fingerprint != first.fingerprint
    assert order_of(*ROWS[:2]).fingerprint != first.fingerprint


@pytest.mark.parametrize(
    "other",
    [
        *({"prompt": "1+2="}, {"answer": "3"}, {"domain": "two"}, {"task": "others"}),
        *({"metrics": ("exact", "bleu")}, {"references": ("2", "two")}),
        {"choices": ("2", "3")},
    ],
)
def test_another_row_has_another_name(other):
    changed = replace(ROWS[0], **other)
    assert order_of(changed, *ROWS[1:]).fingerprint != order_of(*ROWS).fingerprint


def test_rows_without_room_are_none_of_them():
    asked = Example("1 ", LONG, choices=(LONG, "2"))
    assert order_of(asked, *ROWS) == order_of(*ROWS)
    # A long answer that is written is asked for, but has no likelihood.
    long = replace(ROWS[0], answer=LONG)
    assert len(order_of(long, *ROWS).tasks) == 4
    assert order_of(long, *ROWS, generates=False) == order_of(*ROWS, generates=False)


def test_rows_of_a_unit_are_a_cluster_in_one_task():
    said = [replace(row, unit="a dialogue") for row in ROWS]
    assert order_of(*said, Example("1", "2")).clusters == (0, 0, 1, 2)
    # Without a unit it is the prompt.
    again = replace(ROWS[1], answer="5")
    assert order_of(ROWS[0], ROWS[1], again).clusters == (0, 1, 1)


def test_an_instruction_joins_no_rows():
    rows = [Example("1", str(number)) for number in range(8)]
    assert order_of(*rows).clusters is None


def test_a_passage_joins_the_rows_that_ask_about_it():
    passage = " ".join("abc"[n % 3] for n in range(20))
    rows = [Example(f"{passage}\n{n}", "1") for n in range(3)]
    found = order_of(*rows, *ROWS)
    assert found.clusters == (0, 0, 0, 1, 2, 3)
