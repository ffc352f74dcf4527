"""Rows become the examples that one would write by hand."""

import pytest

from sweeper.data import Example, LlmAdaptersFormat
from sweeper.errors import DataError

ROW = {
    "instruction": (
        "Please choose the correct answer to the question: What is ice: water or sand?\n\n"
        "Answer1: water Answer2: sand Answer3: it depends\n\n"
        "Answer format: answer1/answer2/answer3"
    ),
    "input": "",
    "output": "the correct answer is answer1",
    "answer": "answer1",
}


def test_cloze_reading():
    example = LlmAdaptersFormat(reading="cloze").read(ROW, where="here")
    assert example == Example(
        prompt="Question: What is ice: water or sand?\nAnswer:",
        answer=" water",
        choices=(" water", " sand", " it depends"),
    )


def test_generate_reading():
    example = LlmAdaptersFormat(reading="generate").read(ROW, where="here")
    assert example.prompt == (
        "Below is an instruction that describes a task. Write a response that appropriately "
        "completes the request.\n\n"
        "### Instruction:\n"
        "Please choose the correct answer to the question: What is ice: water or sand?\n\n"
        "Answer1: water Answer2: sand Answer3: it depends\n\n"
        "Answer format: answer1/answer2/answer3\n\n"
        "### Response:\n"
    )
    assert example.answer == "the correct answer is answer1"
    assert example.choices == tuple(f"the correct answer is answer{i}" for i in (1, 2, 3))


def test_an_input_has_its_place_in_the_prompt():
    row = {**ROW, "input": "Ice is {cold}."}
    prompt = LlmAdaptersFormat(reading="generate").read(row, where="here").prompt
    assert prompt == (
        "Below is an instruction that describes a task, paired with an input that provides "
        "further context. Write a response that appropriately completes the request.\n\n"
        f"### Instruction:\n{ROW['instruction']}\n\n"
        "### Input:\nIce is {cold}.\n\n"
        "### Response:\n"
    )


def test_options_without_labels_are_the_choices():
    row = {
        "instruction": "Please answer with true or false, question: is ice cold?\n\n"
        "Answer format: true/false",
        "input": "",
        "output": "the correct answer is true",
        "answer": "true",
    }
    example = LlmAdaptersFormat(reading="cloze").read(row, where="here")
    assert example.prompt == "Question: is ice cold?\nAnswer:"
    assert (example.answer, example.choices) == (" true", (" true", " false"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"answer": "answer4"}, "offers answer1, answer2, answer3"),
        ({"instruction": "What is ice?"}, "offers nothing"),
        ({"output": "sand"}, "does not end in the answer"),
    ],
)
def test_malformed_llm_adapters_rows(changed, message):
    with pytest.raises(DataError, match=message):
        LlmAdaptersFormat(reading="generate").read({**ROW, **changed}, where="here")


def test_missing_option_text():
    row = {**ROW, "instruction": ROW["instruction"].replace("Answer2:", "Answer 2:")}
    with pytest.raises(DataError, match=r"option 'Answer2:' is not in the instruction"):
        LlmAdaptersFormat(reading="cloze").read(row, where="here")
