"""Rows of chats become conversations: their turns, what is learnt, and texts to compare by."""

import json
from datetime import date

import pytest

from sweeper.data import MessagesFormat, ShareGptFormat
from sweeper.errors import DataError

SYSTEM = {"role": "system", "content": "Be brief."}
TURNS = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "ho"},
    {"role": "user", "content": "and?"},
    {"role": "assistant", "content": "bye"},
]
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {}}}]

DEEP = "[" * 100_000


def read(messages, chosen=None, **fields):
    chosen = chosen or MessagesFormat()
    return chosen.read({"messages": messages, **fields}, where="f:1")


def messages_of(example):
    return json.loads(example.conversation.messages)


def test_turns_are_kept_and_those_of_the_assistant_learnt():
    found = read([SYSTEM, *TURNS])
    assert messages_of(found) == [SYSTEM, *TURNS]
    assert found.conversation.learnt == (True, True)
    assert found.conversation.where == "f:1"
    assert found.prompt == "system: Be brief.\nuser: hi\nassistant: ho\nuser: and?"
    assert found.answer == "bye"


def test_which_turns_are_learnt():
    assert read(TURNS, MessagesFormat(turns="last")).conversation.learnt == (False, True)
    weighed = [TURNS[0], {**TURNS[1], "weight": 0}, TURNS[2], {**TURNS[3], "weight": 1}]
    found = read(weighed)
    assert found.conversation.learnt == (False, True)
    assert messages_of(found) == TURNS
    # What comes after the last learnt turn teaches nothing.
    ended = read([*TURNS[:3], {**TURNS[3], "weight": 0}])
    assert messages_of(ended) == TURNS[:2]
    assert ended.answer == "ho"


def test_tools_are_passed_on():
    called = {"role": "assistant", "content": None, "tool_calls": [CALL], "name": None}
    result = {"role": "tool", "tool_call_id": "c1", "content": "2"}
    found = read([TURNS[0], called, result, TURNS[1]], tools=json.dumps(TOOLS))
    own = messages_of(found)
    function = {"name": "add", "arguments": {"a": 1}}
    assert own[1] == {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "c1", "type": "function", "function": function}],
    }
    assert own[2] == result
    assert json.loads(found.conversation.tools) == TOOLS
    assert found.conversation.learnt == (True, True)
    assert '"add"' in found.prompt


def test_parts_of_text_are_one_text():
    parts = [{"type": "text", "text": "h"}, {"type": "text", "text": "i"}]
    assert messages_of(read([{"role": "user", "content": parts}, TURNS[1]])) == TURNS[:2]


def test_the_template_is_read_from_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("SWEEPER_DATA", str(tmp_path))
    path = tmp_path / "own.jinja"
    path.write_text("{{ messages }}")
    chosen = MessagesFormat(template="own.jinja", variables={"day": 1})
    assert chosen.files() == (path,)
    assert read(TURNS, chosen).conversation.template == "{{ messages }}"
    assert json.loads(read(TURNS, chosen).conversation.variables) == {"day": 1}
    path.write_text("{{ messages }} ")
    assert read(TURNS, chosen).conversation.template == "{{ messages }} "
    path.write_text(" ")
    with pytest.raises(DataError, match=r"own\.jinja is empty"):
        read(TURNS, chosen)
    path.unlink()
    with pytest.raises(DataError, match=r"own\.jinja does not exist; a file with a chat template"):
        read(TURNS, chosen)
    # So does the fingerprint of data tell it.
    with pytest.raises(DataError, match="a file with a chat template is needed"):
        chosen.files()


def test_sharegpt():
    turns = [
        {"from": "human", "value": "hi"},
        {"from": "function_call", "value": '{"name": "add", "arguments": {"a": 1}}'},
        {"from": "observation", "value": "2"},
        {"from": "gpt", "value": "ho"},
    ]
    row = {"conversations": turns, "system": "Be brief.", "domain": "sums"}
    found = ShareGptFormat(domain="{domain}").read(row, where="f:1")
    own = messages_of(found)
    assert own[0] == SYSTEM
    assert [message["role"] for message in own[1:]] == ["user", "assistant", "tool", "assistant"]
    assert own[2]["tool_calls"][0]["function"] == {"name": "add", "arguments": {"a": 1}}
    assert found.domain == "sums"
    # The row's own system turn counts before the field.
    turns.insert(0, {"from": "system", "value": "Be long."})
    assert messages_of(ShareGptFormat().read(row, where="f:1"))[0]["content"] == "Be long."


def test_an_opening_of_the_assistant_has_no_loss():
    turns = [{"from": "gpt", "value": "hey"}, {"from": "human", "value": "hi"}]
    row = {"conversations": [*turns, {"from": "gpt", "value": "ho"}], "system": "Be brief."}
    assert ShareGptFormat().read(row, where="f:1").conversation.learnt == (False, True)
    assert read([SYSTEM, TURNS[1], *TURNS]).conversation.learnt == (False, True, True)
    # Without a user it is the system that asks.
    assert read([SYSTEM, TURNS[1]]).conversation.learnt == (True,)


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([TURNS[0]], r"f:1: no turn of the assistant has a loss \(turns: user\)"),
        ([{"role": "asistant", "content": "a"}], "message 0: .*did you mean 'assistant'"),
        ([{"role": "user"}, {"role": "assistant", "content": " "}], "message 1: .*says nothing"),
        ([{"role": "user", "content": 3}], "the content is a int"),
        ([{"role": "user", "content": [{"type": "image"}]}], "a part of type 'image'"),
        ([{**TURNS[1], "weight": 2}], "weight is 2; it must be 0 or 1"),
        ([{**TURNS[1], "tool_calls": [{"id": "x"}]}], "a tool call is"),
        (
            [{**TURNS[1], "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}],
            "arguments of the tool call 'f' are not JSON",
        ),
        (
            [{**TURNS[1], "tool_calls": [{"function": {"name": "f", "arguments": DEEP}}]}],
            "are not JSON .its lists and objects are nested too deeply",
        ),
        ([{**TURNS[1], "tool_calls": 5}], "message 0: tool_calls is 5; it must be a list"),
        ([TURNS[0], {**TURNS[1], "at": date(2026, 1, 2)}], "f:1: it cannot be written as JSON"),
        (DEEP, "field 'messages' is .*; it must be a list of objects"),
        ("[" + "9" * 5000 + "]", "field 'messages' is .*; it must be a list of objects"),
        ("hello", "field 'messages' is 'hello'; it must be a list of objects"),
        ([], "field 'messages' is empty"),
    ],
)
def test_turns_that_are_none(messages, message):
    with pytest.raises(DataError, match=message):
        read(messages)


@pytest.mark.parametrize(
    ("turn", "message"),
    [
        ({"from": "alien", "value": "x"}, "'from' is 'alien'.*human"),
        ({"from": ["human"], "value": "x"}, r"'from' is \['human'\]"),
        ({"from": "function_call", "value": DEEP}, "function_call is not JSON .*too deeply"),
        ({"from": "function_call", "value": "add(1)"}, "function_call is not JSON"),
        ({"role": "user", "content": "x"}, "data.format.name: messages"),
    ],
)
def test_turns_of_sharegpt_that_are_none(turn, message):
    with pytest.raises(DataError, match=message):
        ShareGptFormat().read({"conversations": [turn]}, where="f:1")
