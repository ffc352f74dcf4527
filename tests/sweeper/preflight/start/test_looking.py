"""A model and data looked at together: format, lengths, and what of a row the loss counts."""

from __future__ import annotations

import itertools
import re

import pytest

from sweeper.errors import BadInputError
from sweeper.preflight.start.looking import Lengths, look_at
from tests.sweeper.data.tokens.chat_templates import MISTRAL
from tests.sweeper.preflight.start.made import LONG, ROWS, make_model, write_lines


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.delenv("SWEEPER_DATA", raising=False)
    return str(make_model(tmp_path))


def test_the_first_row_is_shown_as_the_model_sees_it(tmp_path, model):
    data = write_lines(tmp_path / "rows.jsonl", [*ROWS, LONG])
    look = look_at(model, str(data))
    example = look.example
    assert example.end == ()
    assert len(example.begin) == example.tokens
    text = "".join(piece.text for piece in example.begin)
    assert "What is" in text
    assert text.endswith("</s>")
    learnt = [piece.is_learnt for piece in example.begin]
    assert sum(learnt) == example.learnt
    # The answer and the end of text, and nothing before them.
    assert learnt == sorted(learnt)
    assert "".join(x.text for x in example.begin if x.is_learnt).strip().endswith("</s>")
    assert "What is" not in "".join(x.text for x in example.begin if x.is_learnt)
    assert (look.family, look.positions is not None) == ("llama", True)
    assert sum(look.rows.values()) == len(ROWS) + 1
    assert look.lengths.median <= look.lengths.p95 <= look.lengths.longest
    assert look.document()["data"]["kind"] == "rows"


def test_a_long_row_is_shown_by_both_ends(tmp_path, model):
    data = write_lines(tmp_path / "data" / "train.jsonl", [LONG, *ROWS])
    for split in ("validation", "test"):
        write_lines(tmp_path / "data" / f"{split}.jsonl", ROWS[:3])
    example = look_at(model, str(data.parent)).example
    assert len(example.begin) == len(example.end) == 120
    assert example.end[-1].is_learnt
    assert not example.begin[0].is_learnt
    assert example.tokens > 240


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"is not recognised: .*: --prompt '\{FIELD\}\\nAnswer:' --answer ' \{FIELD\}'"),
        ({"prompt": "{x}"}, r"--answer is missing; the two templates go together; give both"),
        ({"prompt": "none", "answer": "{y}"}, r"names no field"),
        ({"prompt": "{z}", "answer": "{y}"}, r"no field 'z'; its fields are"),
    ],
)
def test_a_format_that_is_not_known_is_told_with_the_fields(tmp_path, model, options, message):
    rows = [{"x": f"some {n}", "y": f"other {n}"} for n in range(9)]
    data = write_lines(tmp_path / "rows.jsonl", rows)
    with pytest.raises(BadInputError, match=message) as told:
        look_at(model, str(data), **options)
    assert "x, y" in str(told.value) or options
    look = look_at(model, str(data), prompt="{x}\nAnswer:", answer=" {y}")
    assert look.told_by == "the given templates"


def test_chats_for_a_model_without_a_chat_template_have_a_plain_one(tmp_path, model):
    said = [[("system", "Add."), ("user", f"1 and {n}"), ("assistant", "3")] for n in range(9)]
    rows = [{"messages": [{"role": role, "content": x} for role, x in turns]} for turns in said]
    look = look_at(model, str(write_lines(tmp_path / "chats.jsonl", rows)))
    assert look.settings == {"name": "messages", "field": "messages", "template": "roles"}
    assert "has no chat template" in look.told_by
    shown = [("⟦" if x.is_learnt else "") + x.text for x in look.example.begin]
    text = "".join(shown).replace("⟦", "")
    assert re.fullmatch(r"<s>System: Add\.\nUser: 1 and \d\nAssistant: 3</s>\n", text)
    assert sum(text.startswith("⟦") for text in shown) == look.example.learnt > 1


def test_of_a_chat_every_answer_is_learnt(tmp_path, model):
    said = [
        ("user", "Hi"),
        ("assistant", "Hello there"),
        ("user", "And?"),
        ("assistant", "Good bye"),
    ]
    turns = [{"role": role, "content": content} for role, content in said]
    rows = [{"messages": [{"role": "user", "content": f"Row {n}"}, *turns[1:]]} for n in range(9)]
    data = write_lines(tmp_path / "chats" / "train.jsonl", [{"messages": turns}, *rows])
    for split in ("validation", "test"):
        write_lines(data.with_name(f"{split}.jsonl"), rows[:2])
    (tmp_path / "chat.jinja").write_text(MISTRAL)
    template = str(tmp_path / "chat.jinja")
    look = look_at(model, str(data.parent), template=template)
    runs = [
        "".join(piece.text for piece in run)
        for is_learnt, run in itertools.groupby(look.example.begin, key=lambda x: x.is_learnt)
        if is_learnt
    ]
    assert [run.strip().removesuffix("</s>").strip() for run in runs] == ["Hello there", "Good bye"]
    assert look.told_by.startswith("messages: field messages")
    assert look.settings["template"] == template
    plain = write_lines(tmp_path / "rows.jsonl", ROWS)
    with pytest.raises(BadInputError, match="the rows are no chats"):
        look_at(model, str(plain), template=template)


def test_data_without_a_row_is_told(tmp_path, model):
    data = write_lines(tmp_path / "rows.jsonl", [])
    with pytest.raises(BadInputError, match="has no training row"):
        look_at(model, str(data))
    data.write_text('{"question": 1}\n{"question"\n')
    with pytest.raises(BadInputError, match=r"rows\.jsonl:2"):
        look_at(model, str(data))


def test_lengths_are_told_by_their_order():
    found = Lengths.of([*range(100, 0, -1)])
    assert (found.median, found.p95, found.longest, found.rows) == (51, 96, 100, 100)
    assert found.longer_than(90) == 0.1
    assert Lengths.of([7]).p95 == 7
