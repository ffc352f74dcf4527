"""Chats as token ids: those of the template, token by token, and masks against those by hand."""

import json
from itertools import groupby

import pytest

from sweeper.data import MessagesFormat
from sweeper.data.tokens import collate, encode, marked_text, pack
from sweeper.data.tokens.chats import chats_as_tokens
from sweeper.errors import DataError
from tests.places import SHARED
from tests.sweeper.data.tokens.chat_templates import CHATML, TEMPLATES, tokenizer_of

TURNS = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "ho"},
    {"role": "user", "content": "and?"},
    {"role": "assistant", "content": "bye"},
]
SYSTEM = {"role": "system", "content": "Be brief."}
STORIES = SHARED / "models" / "stories260K" / "hf"


def chat(messages=TURNS, *, tools=None, **settings):
    row = {"messages": messages, "tools": tools}
    return MessagesFormat(**settings).read(row, where="f:1")


def encoded(family, example):
    tokenizer = tokenizer_of(family)
    [(ids, mask)] = chats_as_tokens([example.conversation], tokenizer)
    return tokenizer, ids, mask


def parts(tokenizer, ids, mask):
    """The text of each stretch of tokens that are learnt, or are not."""
    runs = groupby(zip(ids, mask, strict=True), key=lambda pair: pair[1])
    return [(tokenizer.decode([i for i, _ in run]), is_learnt) for is_learnt, run in runs]


BY_HAND = {
    "chatml": [
        (
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n"
            "<|im_start|>assistant\n",
            False,
        ),
        ("ho<|im_end|>", True),
        ("\n<|im_start|>user\nand?<|im_end|>\n<|im_start|>assistant\n", False),
        ("bye<|im_end|>", True),
        ("\n", False),
    ],
    "llama3": [
        (
            "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n",
            False,
        ),
        ("ho<|eot_id|>", True),
        (
            "<|start_header_id|>user<|end_header_id|>\n\nand?<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n",
            False,
        ),
        ("bye<|eot_id|>", True),
    ],
    "mistral": [
        ("<s>[INST] Be brief.\n\nhi[/INST]", False),
        (" ho</s>", True),
        ("[INST] and?[/INST]", False),
        (" bye</s>", True),
    ],
    "gemma": [
        (
            "<bos><start_of_turn>user\nhi<end_of_turn>\n<start_of_turn>model\n",
            False,
        ),
        ("ho<end_of_turn>", True),
        ("\n<start_of_turn>user\nand?<end_of_turn>\n<start_of_turn>model\n", False),
        ("bye<end_of_turn>", True),
        ("\n", False),
    ],
    "phi": [
        ("<|system|>\nBe brief.<|end|>\n<|user|>\nhi<|end|>\n<|assistant|>\n", False),
        ("ho<|end|>", True),
        ("\n<|user|>\nand?<|end|>\n<|assistant|>\n", False),
        ("bye<|end|>\n<|endoftext|>", True),
    ],
    "zephyr": [
        ("<|system|>\nBe brief.</s>\n<|user|>\nhi</s>\n<|assistant|>\n", False),
        ("ho</s>", True),
        ("\n<|user|>\nand?</s>\n<|assistant|>\n", False),
        ("bye</s>", True),
        ("\n", False),
    ],
}
BY_HAND["marked"] = BY_HAND["chatml"]


def messages_for(family):
    return TURNS if family == "gemma" else [SYSTEM, *TURNS]


@pytest.mark.parametrize("family", TEMPLATES)
def test_ids_and_mask(family):
    messages = messages_for(family)
    tokenizer, ids, mask = encoded(family, chat(messages))
    assert ids == tokenizer.apply_chat_template(messages, return_dict=False)
    assert parts(tokenizer, ids, mask) == BY_HAND[family]


@pytest.mark.parametrize("family", TEMPLATES)
def test_what_is_trained_on_is_the_same(family):
    tokenizer = tokenizer_of(family)
    [tokens] = encode([chat(messages_for(family))], tokenizer, 512).tokens
    assert list(tokens.ids) == tokenizer.apply_chat_template(
        messages_for(family), return_dict=False
    )
    mask = tokens.mask or [n >= tokens.answer_start for n in range(len(tokens.ids))]
    assert parts(tokenizer, tokens.ids, mask) == BY_HAND[family]
    shown = "".join(f"⟦{text}⟧" if is_learnt else text for text, is_learnt in BY_HAND[family])
    assert marked_text(tokens, tokenizer) == shown
    # The begin of a text is there once, and nothing is added to its end.
    if tokenizer.bos_token_id is not None and family != "zephyr":
        assert tokens.ids.count(tokenizer.bos_token_id) == 1


def test_the_marks_are_those_of_transformers():
    messages = [SYSTEM, *TURNS]
    tokenizer, ids, mask = encoded("marked", chat(messages))
    found = tokenizer.apply_chat_template(messages, return_assistant_tokens_mask=True)
    assert found["input_ids"] == ids
    assert found["assistant_masks"] == mask


@pytest.mark.parametrize("family", ["chatml", "marked"])
def test_only_some_turns(family):
    tokenizer, ids, mask = encoded(family, chat(turns="last"))
    assert [text for text, is_learnt in parts(tokenizer, ids, mask) if is_learnt] == [
        "bye<|im_end|>"
    ]
    weighed = [*TURNS[:3], {**TURNS[3], "weight": 0}]
    tokenizer, ids, mask = encoded(family, chat(weighed))
    assert [text for text, is_learnt in parts(tokenizer, ids, mask) if is_learnt] == [
        "ho<|im_end|>"
    ]


def test_tools_are_in_the_text():
    tools = [{"type": "function", "function": {"name": "add", "parameters": {"a": "int"}}}]
    call = {"type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    messages = [
        TURNS[0],
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "content": "2"},
        TURNS[1],
    ]
    tokenizer, ids, mask = encoded("marked", chat(messages, tools=tools))
    found = parts(tokenizer, ids, mask)
    assert [text for text, is_learnt in found if is_learnt] == [
        '{"name": "add", "arguments": {"a": 1}}<|im_end|>',
        "ho<|im_end|>",
    ]
    assert found[0][0].startswith(f"<|im_start|>system\n{json.dumps(tools)}<|im_end|>")
    # A template that writes neither is none for such rows.
    with pytest.raises(DataError, match="f:1: the chat template leaves out the call of the tool"):
        encoded("chatml", chat(messages))
    with pytest.raises(DataError, match="leaves out the tool 'add'"):
        encoded("chatml", chat(tools=tools))


@pytest.mark.parametrize("family", ["chatml", "marked", "mistral"])
def test_a_special_token_in_a_row_is_text(family):
    name = {"mistral": "</s>"}.get(family, "<|im_end|>")
    messages = [{"role": "user", "content": f"what is {name}?"}, TURNS[1]]
    tokenizer, ids, mask = encoded(family, chat(messages))
    wanted = tokenizer.apply_chat_template(
        messages, return_dict=False, sanitize_control_tokens=True
    )
    assert ids == wanted
    assert tokenizer.decode(ids) == tokenizer.apply_chat_template(messages, tokenize=False)
    ends = ids.count(tokenizer.convert_tokens_to_ids(name))
    assert ends == (1 if family == "mistral" else 2)
    learnt = [text for text, is_learnt in parts(tokenizer, ids, mask) if is_learnt]
    assert learnt == [f"{' ' * (family == 'mistral')}ho{name}"]


def test_a_prefix_that_is_none_is_an_error():
    # Newlines before and in an answer are one token together.
    messages = [TURNS[0], {"role": "assistant", "content": "\nho"}]
    with pytest.raises(
        DataError, match=r"message 1 begins .* \(token 19: '\\n' there, '\\n\\nho' .*turns: last"
    ):
        encoded("chatml", chat(messages))
    tokenizer, ids, mask = encoded("marked", chat(messages))
    assert parts(tokenizer, ids, mask)[1] == ("\n\nho<|im_end|>", True)


def test_a_template_that_changes_earlier_turns():
    # As some templates drop the thoughts of all turns but the last one.
    template = CHATML.replace("{{ m.content }}", "{{ m.content if loop.last else m.content[:1] }}")
    tokenizer = tokenizer_of("chatml")
    tokenizer.chat_template = template
    with pytest.raises(DataError, match="leaves out message 0, of the role user"):
        list(chats_as_tokens([chat().conversation], tokenizer))
    template = template.replace("if loop.last", "if loop.last or m.role == 'user'")
    tokenizer.chat_template = template
    with pytest.raises(DataError, match="where message 1 begins and ends cannot be told"):
        list(chats_as_tokens([chat().conversation], tokenizer))
    [(ids, mask)] = chats_as_tokens([chat(turns="last").conversation], tokenizer)
    assert [text for text, is_learnt in parts(tokenizer, ids, mask) if is_learnt] == [
        "bye<|im_end|>"
    ]


@pytest.mark.parametrize("said", ["a", "user", "ho"])
def test_what_is_left_out_is_missed_though_its_letters_stand_elsewhere(said):
    # The answer has the first, the template the second, the answer again the third.
    messages = [{"role": "system", "content": said}, TURNS[0], {**TURNS[1], "content": "banana ho"}]
    tokenizer = tokenizer_of("chatml")
    tokenizer.chat_template = CHATML.replace(
        "{{ m.content }}", "{{ m.content if m.role != 'system' else '' }}"
    )
    with pytest.raises(DataError, match="leaves out message 0, of the role system"):
        list(chats_as_tokens([chat(messages).conversation], tokenizer))
    encoded("chatml", chat(messages))


def test_what_the_template_refuses_is_told_with_its_place():
    with pytest.raises(DataError, match=r"f:1: the chat template refuses .*no system role here"):
        encoded("gemma", chat([SYSTEM, *TURNS]))
    tokenizer = tokenizer_of("chatml")
    tokenizer.chat_template = None
    with pytest.raises(DataError, match=r"tokenizer has no chat template.*data\.format\.template"):
        list(chats_as_tokens([chat().conversation], tokenizer))


@pytest.mark.parametrize("said", ["", "{% generation %}{% endgeneration %}"])
def test_a_template_that_writes_nothing_of_the_assistant(said):
    tokenizer = tokenizer_of("chatml")
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'assistant' %}"
        + said
        + "{% else %}{{ m.content }}<|im_end|>{% endif %}{% endfor %}"
    )
    with pytest.raises(DataError, match="f:1: no token of a turn is learnt"):
        list(chats_as_tokens([chat().conversation], tokenizer))


def test_a_template_of_a_file_and_its_variables(tmp_path):
    path = tmp_path / "own.jinja"
    path.write_text("{{ day }} {{ strftime_now('%d %b %Y') }}" + CHATML)
    example = chat(template=str(path), variables={"day": "Monday"})
    tokenizer, ids, _ = encoded("llama3", example)
    # The date of today would be another one tomorrow.
    assert tokenizer.decode(ids).startswith("Monday 26 Jul 2024<|im_start|>user\nhi")


def test_batches_know_the_mask():
    tokenizer = tokenizer_of("llama3")
    [tokens] = encode([chat()], tokenizer, 512).tokens
    batch = collate([tokens], 0)
    [labels] = batch["labels"].tolist()
    learnt = [i for i, label in zip(tokens.ids, labels, strict=True) if label != -100]
    assert tokenizer.decode(learnt) == "ho<|eot_id|>bye<|eot_id|>"
    assert tokens.loss_tokens == len(learnt)
    assert tokens.last_answer_tokens == 2  # "bye" and the end of the turn
    assert pack([tokens], 0, max_length=512)["labels"].tolist() == [labels]


def test_a_long_chat_is_cut_as_a_prompt_with_its_answer():
    tokenizer = tokenizer_of("llama3")
    whole = encode([chat()], tokenizer, 512).tokens[0]
    head = whole.answer_start
    rest = len(whole.ids) - head
    found = encode([chat()], tokenizer, len(whole.ids) - 4, long_answers="cut")
    [tokens] = found.tokens
    assert len(tokens.ids) == len(whole.ids) - 4
    assert tokens.ids[0] == tokenizer.bos_token_id
    assert tokens.loss_tokens > 0
    # An evaluation cuts only what comes before the first learnt token, or leaves the chat out.
    found = encode([chat()], tokenizer, rest + 3, long_answers="leave_out")
    assert found.prompts_cut == (0,)
    assert found.tokens[0].ids[3:] == whole.ids[head:]
    assert encode([chat()], tokenizer, rest, long_answers="leave_out").left_out == (0,)


@pytest.mark.skipif(not STORIES.is_dir(), reason=f"needs {STORIES}")
@pytest.mark.parametrize("family", ["chatml", "mistral", "zephyr"])
def test_a_real_tokenizer(family):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(STORIES)
    tokenizer.chat_template = TEMPLATES[family]
    [(ids, mask)] = chats_as_tokens([chat().conversation], tokenizer)
    assert ids == tokenizer.apply_chat_template(TURNS, return_dict=False)
    learnt = [text for text, is_learnt in parts(tokenizer, ids, mask) if is_learnt]
    assert [text.strip()[:2] for text in learnt] == ["ho", "by"]
