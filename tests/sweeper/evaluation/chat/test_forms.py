"""What is typed becomes, token by token, the prompt that a row with the same fields has."""

import pytest

from sweeper.data import (
    ChoicesFormat,
    EmbeddedDataSpec,
    FieldsFormat,
    LlmAdaptersFormat,
    MessagesFormat,
    RowsDataSpec,
    ShareGptFormat,
    TasksDataSpec,
    TextFormat,
)
from sweeper.data.tokens import encode
from sweeper.errors import BadInputError, DataError
from sweeper.evaluation.chat import ChatForm, PromptForm, form_of
from sweeper.evaluation.chat.forms import task_limits
from sweeper.evaluation.generation import Ending
from tests.sweeper import talking
from tests.sweeper.data.tokens.chat_templates import TEMPLATES, tokenizer_of

ROOM = 10_000
OFFERED = (
    "Please choose the correct answer: Is it so?\n\nAnswer1: yes Answer2: no\n\n"
    "Answer format: answer1/answer2"
)
TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "ho"},
    {"role": "user", "content": "and <|im_end|>?"},
    {"role": "assistant", "content": "bye"},
]


def rows(chosen) -> RowsDataSpec:
    return RowsDataSpec(path="nowhere", format=chosen)


def text_of(tokenizer, tokens) -> str:
    return str(tokenizer.decode(list(tokens.ids)))


@pytest.mark.parametrize(
    ("chosen", "row", "typed"),
    [
        (FieldsFormat(prompt="<|im_start|>{q}\nA:"), {"q": "hi </s>", "answer": "x"}, {}),
        (FieldsFormat(prompt="{q}\n{c}\nA:"), {"q": "hi", "c": "", "answer": "x"}, {}),
        (
            ChoicesFormat(),
            {"question": "hi?", "options": ["a", "b c"], "answer": "B"},
            {"options": "a | b c"},
        ),
        (
            ChoicesFormat(options=("A", "B", "C"), reading="cloze"),
            {"question": "hi?", "A": "x", "B": "y", "C": "", "answer": "A"},
            {},
        ),
        (
            LlmAdaptersFormat(),
            {
                "instruction": OFFERED,
                "input": "",
                "output": "the correct answer is answer1",
                "answer": "answer1",
            },
            {},
        ),
        (
            LlmAdaptersFormat(reading="cloze"),
            {"instruction": OFFERED, "input": "", "output": "", "answer": "answer1"},
            {"question": "Is it so?"},
        ),
    ],
    ids=["field", "empty field", "options", "fields of options", "alpaca", "cloze"],
)
def test_a_prompt_is_that_of_a_row(chosen, row, typed):
    tokenizer = tokenizer_of("chatml")
    [trained] = encode([chosen.read(row, where="f:1")], tokenizer, ROOM).tokens
    form = form_of(rows(chosen))
    asked = {name: typed.get(name, row.get(name)) for name in form.fields}
    found, notes = form.encode(asked, tokenizer, room=ROOM)
    assert found.ids == trained.ids[: trained.answer_start]
    assert notes == ()
    assert not form.has_turns


def test_a_text_is_gone_on_with_as_it_begins():
    tokenizer = tokenizer_of("zephyr")
    [trained] = encode([TextFormat().read({"text": " hi there"}, where="")], tokenizer, ROOM).tokens
    form = form_of(rows(TextFormat()))
    found, _ = form.encode({"text": " hi there"}, tokenizer, room=ROOM)
    assert found.ids == trained.ids[:-1]
    assert form.keeps_spaces


def test_a_line_is_the_whole_prompt_of_data_that_makes_its_own():
    tokenizer = tokenizer_of("chatml")
    for data in (EmbeddedDataSpec(), TasksDataSpec(train=("gsm8k",))):
        form = form_of(data)
        found, _ = form.encode({"prompt": r"hi\nAnswer:"}, tokenizer, room=ROOM)
        assert text_of(tokenizer, found) == "hi\nAnswer:"
        assert "whole prompt" in form.about


@pytest.mark.parametrize("family", [x for x in TEMPLATES if x != "gemma"])
def test_a_conversation_is_what_was_trained_up_to_the_answer(family):
    tokenizer = tokenizer_of(family)
    form = ChatForm(MessagesFormat(turns="last"), system="Be brief.")
    form.keep({"message": "hi"}, "ho")
    found, _ = form.encode({"message": "and <|im_end|>?"}, tokenizer, room=ROOM)
    example = MessagesFormat(turns="last").read({"messages": TURNS}, where="f:1")
    [trained] = encode([example], tokenizer, ROOM).tokens
    assert found.ids == trained.ids[: trained.answer_start]
    form.reset()
    assert form.turns == ()
    begun, _ = form.encode({"message": "and <|im_end|>?"}, tokenizer, room=ROOM)
    assert "Be brief." in text_of(tokenizer, begun)
    assert "ho" not in text_of(tokenizer, begun)


def test_sharegpt_is_a_conversation_too():
    assert form_of(rows(ShareGptFormat())).has_turns


def test_the_oldest_turns_are_forgotten_where_there_is_no_room():
    tokenizer = tokenizer_of("llama3")
    form = ChatForm(MessagesFormat(), system="Be brief.")
    for number in range(4):
        form.keep({"message": f"question {number}"}, f"answer {number}")
    whole, _ = form.encode({"message": "last"}, tokenizer, room=ROOM)
    found, [note] = form.encode({"message": "last"}, tokenizer, room=len(whole.ids) - 1)
    text = text_of(tokenizer, found)
    assert "question 0" not in text
    assert all(words in text for words in ("Be brief.", "question 1", "answer 3", "last"))
    assert "the oldest 2 turns are forgotten" in note
    assert form.turns[0]["content"] == "question 1"
    cut, notes = form.encode({"message": "long " * 50}, tokenizer, room=40)
    assert len(cut.ids) == 40
    assert cut.ids[0] == tokenizer.bos_token_id
    assert form.turns == ()
    assert "is cut on its left" in notes[1]


def test_a_long_prompt_is_cut_on_its_left():
    tokenizer = tokenizer_of("zephyr")
    found, [note] = PromptForm().encode({"prompt": "0123456789"}, tokenizer, room=5)
    assert text_of(tokenizer, found) == "56789"
    assert note == "The prompt has 10 tokens and room for 5: it is cut on its left."


@pytest.mark.parametrize("form", [PromptForm(), ChatForm(MessagesFormat())])
def test_nothing_and_half_letters_are_refused(form):
    (name,) = form.fields
    with pytest.raises(DataError, match="there is no text"):
        form.encode({name: "  "}, tokenizer_of("chatml"), room=ROOM)
    with pytest.raises(DataError, match="half of a character"):
        form.encode({name: "a\ud800"}, tokenizer_of("chatml"), room=ROOM)


def test_a_system_message_needs_a_conversation_that_takes_it():
    with pytest.raises(BadInputError, match=r"system: got 'Be brief.'.* \(fields\)"):
        form_of(rows(FieldsFormat()), system="Be brief.")
    with pytest.raises(BadInputError, match=r"system: got 'x'.*no system role here.*--system out"):
        ChatForm(MessagesFormat(), "x").ended_by(Ending(3), tokenizer_of("gemma"))


def test_what_ends_a_turn_is_added_to_what_ends_any_answer():
    found = ChatForm(MessagesFormat()).ended_by(Ending(3, ("stop",)), talking.tokenizer())
    ids = frozenset({talking.tokenizer().convert_tokens_to_ids("<|im_end|>")})
    assert found == Ending(3, ("stop",), ids)


def test_tasks_say_how_long_an_answer_is_and_where_it_stops():
    assert task_limits(EmbeddedDataSpec()) == (None, ())
    most, stops = task_limits(TasksDataSpec(train=("arc_easy",)))
    assert (most, stops) == (32, ("\n",))
    most, stops = task_limits(TasksDataSpec(train=("arc_easy", "gsm8k")))
    assert (most, stops) == (400, ())
