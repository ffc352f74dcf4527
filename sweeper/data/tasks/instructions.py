"""Instructions with free answers to train on: dolly, Lawyer-Instruct, OpenOrca."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sweeper.data.examples import Example
from sweeper.data.formats import FieldsFormat
from sweeper.data.reading.hub import HubSource
from sweeper.data.reading.rows import Row
from sweeper.data.tasks.task import Files, Task
from sweeper.data.templates import text_of
from sweeper.errors import DataError

__all__ = ["DOLLY", "LAWYER_INSTRUCT", "OPENORCA"]

_DOLLY = FieldsFormat(
    prompt="{instruction}\n{context}\n\nAnswer:", answer=" {response}", domain="{category}"
)
_LAWYER = FieldsFormat(prompt="{instruction}\n{input}\n\nAnswer:", answer=" {output}")
_ORCA = FieldsFormat(prompt="{system_prompt}\n\n{question}\n\nAnswer:", answer=" {response}")


def _dolly(row: Row, where: str) -> Sequence[Example]:
    return (_DOLLY.read(row, where=where),)


def _lawyer(row: Row, where: str) -> Sequence[Example]:
    return (_LAWYER.read(row, where=where),)


def _orca(row: Row, where: str) -> Sequence[Example]:
    if "preferred_output" in row:
        row = _of_preference(row, where=where)
    example = _ORCA.read(row, where=where)
    # Ids begin with the FLAN submixture that the question is from: niv, t0, cot, flan.
    mixture = text_of(row, "id", where=where).partition(".")[0] if "id" in row else ""
    return (Example(example.prompt.lstrip("\n"), example.answer, domain=mixture),)


def _of_preference(row: Row, *, where: str) -> Row:
    """Returns a row of preference data as one of OpenOrca, with the preferred answer."""
    try:
        asked = row["input"]["messages"]  # type: ignore[index]  # of any form; errors are caught
        said = {message["role"]: message["content"] for message in asked}
        preferred = row["preferred_output"][0]["content"]  # type: ignore[index]  # the same
    except (KeyError, TypeError, IndexError) as error:
        raise DataError(
            f"{where}: not a row of preferences ({error!r}); it needs input.messages and "
            "preferred_output, lists of messages with role and content; correct the row"
        ) from error
    found: Mapping[str, object] = {
        "system_prompt": said.get("system", ""),
        "question": said.get("user", ""),
        "response": preferred,
    }
    return found


DOLLY = Task(
    name="dolly",
    summary="instructions of eight kinds, written and answered by people",
    licence="CC BY-SA 3.0",
    citation="Conover et al. 2023, Free Dolly; huggingface.co/datasets/databricks/"
    "databricks-dolly-15k",
    read=_dolly,
    metrics=("rouge_l",),
    files={"train": Files("dolly/train.jsonl"), "test": Files("dolly/test.jsonl")},
    hub=HubSource(
        "databricks/databricks-dolly-15k",
        revision="bdd27f4d94b9c1f951818a7da7fd7aeea5dbff1a",
        splits={"train": "train"},
    ),
    max_new_tokens=256,
)

LAWYER_INSTRUCT = Task(
    name="lawyer_instruct",
    summary="legal questions and a lawyer's answers",
    licence="Apache-2.0",
    citation="Alignment-Lab-AI 2024, huggingface.co/datasets/Alignment-Lab-AI/Lawyer-Instruct",
    read=_lawyer,
    metrics=("rouge_l",),
    files={"train": Files("lawyer_instruct/train.jsonl")},
    hub=HubSource("Alignment-Lab-AI/Lawyer-Instruct", splits={"train": "train"}),
    max_new_tokens=256,
)

OPENORCA = Task(
    name="openorca",
    summary="FLAN questions with the explanations of larger models",
    licence="MIT",
    citation="Lian et al. 2023, huggingface.co/datasets/Open-Orca/OpenOrca",
    read=_orca,
    metrics=("rouge_l",),
    files={"train": Files("openorca_dpo/validation.jsonl")},
    hub=HubSource("Open-Orca/OpenOrca", splits={"train": "train"}),
    max_new_tokens=256,
)
