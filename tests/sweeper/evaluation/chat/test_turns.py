"""What ends a turn: the tokens that a template puts after what the assistant says, or a text."""

import pytest

from sweeper.data import MessagesFormat
from sweeper.errors import DataError
from sweeper.evaluation.chat.turns import turn_ending
from tests.sweeper.data.tokens.chat_templates import tokenizer_of

PLAIN = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
CLOSED = PLAIN.replace("{{ m.content }}", "{{ m.content }}[end]")
MARKED = (
    "{% for m in messages %}{{ m.role }}: {% if m.role == 'assistant' %}{% generation %}"
    "{{ m.content }}{{ eos_token }}\n{% endgeneration %}{% else %}{{ m.content }}\n{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)


@pytest.mark.parametrize(
    ("family", "end"),
    [
        ("chatml", "<|im_end|>"),
        ("llama3", "<|eot_id|>"),
        ("mistral", "</s>"),
        ("gemma", "<end_of_turn>"),
        ("phi", "<|end|>"),
        ("zephyr", "</s>"),
        ("marked", "<|im_end|>"),
    ],
)
def test_the_special_tokens_after_a_turn_end_it(family, end):
    tokenizer = tokenizer_of(family)
    ids, texts = turn_ending(MessagesFormat(), tokenizer, system="")
    eos = {tokenizer.eos_token_id} if family == "phi" else set()
    assert {tokenizer.convert_tokens_to_ids(end)} <= ids
    assert ids <= {tokenizer.convert_tokens_to_ids(end)} | eos
    assert texts == ()


@pytest.mark.parametrize(
    ("template", "texts"), [(PLAIN, ("\nuser:",)), (CLOSED, ("[end]",)), (MARKED, ())]
)
def test_a_template_without_special_tokens_ends_a_turn_in_a_text(template, texts, tmp_path):
    tokenizer = tokenizer_of("zephyr")
    path = tmp_path / "template.jinja"
    path.write_text(template)
    found = turn_ending(MessagesFormat(template=str(path)), tokenizer, system="Be brief.")
    ids = frozenset() if texts else frozenset({tokenizer.eos_token_id})
    assert found == (ids, texts)


def test_a_template_that_refuses_what_is_said_before_is_told():
    with pytest.raises(DataError, match="no system role here"):
        turn_ending(MessagesFormat(), tokenizer_of("gemma"), system="Be brief.")
