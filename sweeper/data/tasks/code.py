"""Code: CodeFeedback to train on, HumanEval to test on."""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.data.examples import Example
from sweeper.data.formats import FieldsFormat
from sweeper.data.reading.hub import HubSource
from sweeper.data.reading.rows import Row
from sweeper.data.tasks.task import Files, Task
from sweeper.data.templates import text_of

__all__ = ["CODEFEEDBACK", "HUMANEVAL"]

_FEEDBACK = FieldsFormat(prompt="{query}\n\nAnswer:", answer=" {answer}")


def _feedback(row: Row, where: str) -> Sequence[Example]:
    example = _FEEDBACK.read(row, where=where)
    language = text_of(row, "lang", where=where) if "lang" in row else ""
    return (Example(example.prompt, example.answer, domain=language),)


def _humaneval(row: Row, where: str) -> Sequence[Example]:
    names = ("test", "entry_point")
    return (
        Example(
            prompt=text_of(row, "prompt", where=where),
            answer=text_of(row, "canonical_solution", where=where),
            references=tuple(text_of(row, name, where=where) for name in names),
        ),
    )


CODEFEEDBACK = Task(
    name="codefeedback",
    summary="requests for code and their answers, to train on",
    licence="Apache-2.0",
    citation="Zheng et al. 2024, OpenCodeInterpreter, arXiv:2402.14658",
    read=_feedback,
    metrics=("rouge_l",),
    files={"train": Files("codefeedback/train.jsonl")},
    hub=HubSource("m-a-p/CodeFeedback-Filtered-Instruction", splits={"train": "train"}),
    max_new_tokens=512,
)

HUMANEVAL = Task(
    name="humaneval",
    summary="Python functions to complete, tried by running their tests",
    licence="MIT",
    citation="Chen et al. 2021, arXiv:2107.03374; github.com/openai/human-eval",
    read=_humaneval,
    metrics=("pass_at_1",),
    files={"test": Files("humaneval/HumanEval.jsonl")},
    hub=HubSource(
        "openai/openai_humaneval",
        revision="7dce6050a7d6d172f3cc5c32aa97f52fa1a2e544",
        splits={"test": "test"},
    ),
    # No text ends it: the metric finds the function in what is generated.
    max_new_tokens=512,
)
