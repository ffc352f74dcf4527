"""Grade-school mathematics: GSM8K, its four-choice form, and MetaMathQA to train on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sweeper.data.examples import Example
from sweeper.data.reading.hub import HubSource
from sweeper.data.reading.rows import Row
from sweeper.data.tasks.lettered import lettered, options_of, split_options
from sweeper.data.tasks.task import Files, Task
from sweeper.data.templates import text_of
from sweeper.errors import DataError

__all__ = ["GSM8K", "GSM8K_CHOICE", "METAMATH"]

_CHOICE_HEAD = (
    "The following are multiple-choice questions about mathematical reasoning. "
    "Please select the correct answer."
)


def _asked(question: str, solution: str, final: str) -> Example:
    return Example(
        prompt=f"Question: {question}\nAnswer:", answer=f" {solution}", references=(final,)
    )


def _gsm8k(row: Row, where: str) -> Sequence[Example]:
    solution = text_of(row, "answer", where=where)
    _, mark, number = solution.rpartition("####")
    if not mark or not number.strip():
        raise DataError(
            f"{where}: the answer {solution[-40:]!r} has no number after '####'; every answer of "
            "GSM8K ends in '#### number'; correct the row"
        )
    number = number.strip().replace(",", "")
    return (_asked(text_of(row, "question", where=where), solution, number),)


def _metamath(row: Row, where: str) -> Sequence[Example]:
    solution = text_of(row, "response", where=where)
    query = text_of(row, "query", where=where)
    # A question of GSM8K or MATH comes in several wordings, which belong together.
    unit = text_of(row, "original_question", where=where) if "original_question" in row else query
    _, mark, final = solution.rpartition("The answer is:")
    if not mark or not final.strip():
        raise DataError(
            f"{where}: the response {solution[-40:]!r} has no answer after 'The answer is:'; every "
            "response of MetaMathQA ends in one; correct the row"
        )
    domain = text_of(row, "type", where=where) if "type" in row else ""
    return (replace(_asked(query, solution, final.strip()), domain=domain, unit=unit),)


def _choice(row: Row, where: str) -> Sequence[Example]:
    if "output" in row:
        question, options = split_options(text_of(row, "input", where=where))
        answer = text_of(row, "output", where=where)
    else:
        question, options = text_of(row, "question", where=where), options_of(row, where=where)
        answer = text_of(row, "answer", where=where)
    return (lettered(question, options, answer.strip(), head=_CHOICE_HEAD, where=where),)


GSM8K = Task(
    name="gsm8k",
    summary="grade-school word problems with worked solutions",
    licence="MIT",
    citation="Cobbe et al. 2021, arXiv:2110.14168; github.com/openai/grade-school-math",
    read=_gsm8k,
    metrics=("final_number",),
    files={"train": Files("gsm8k/train.jsonl"), "test": Files("gsm8k/test.jsonl")},
    hub=HubSource(
        "openai/gsm8k",
        revision="cc7b047b6e5bb11b4f1af84efc572db110a51b3c",
        subsets=("main",),
    ),
    max_new_tokens=400,
    stop=("\nQuestion:",),
)

GSM8K_CHOICE = Task(
    name="gsm8k_choice",
    summary="GSM8K with four options each, as CoLA made them and the MASA paper uses them",
    licence="MIT",
    citation="Zhou et al. 2025, CoLA; github.com/zyy-2001/CoLA (LLaMA-Factory/data/"
    "gsm8k_train.json, LLaMA-Factory/evaluation/gsm8k)",
    read=_choice,
    metrics=("choice",),
    files={"train": Files("gsm8k/mc_train.jsonl"), "test": Files("gsm8k/mc_test.csv")},
    max_new_tokens=4,
    stop=("\n",),
)

METAMATH = Task(
    name="metamath",
    summary="questions of GSM8K and MATH in other words, with solutions, to train on",
    licence="MIT",
    citation="Yu et al. 2024, MetaMath, arXiv:2309.12284",
    read=_metamath,
    metrics=("final_answer",),
    files={"train": Files("metamath/train.jsonl")},
    hub=HubSource("meta-math/MetaMathQA", splits={"train": "train"}),
    max_new_tokens=400,
    stop=("\nQuestion:",),
    version=2,
)
