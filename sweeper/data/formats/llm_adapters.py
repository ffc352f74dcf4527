"""Rows of LLM-Adapters' files: a question and its options in one text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from sweeper._spec import Spec
from sweeper.data.examples import Example
from sweeper.data.templates import text_of
from sweeper.errors import DataError

__all__ = ["LlmAdaptersFormat", "question_and_options"]

_ANSWER_FORMAT = re.compile(r"\s*Answer format:\s*(\S+)\s*$")


class LlmAdaptersFormat(Spec):
    """Rows of LLM-Adapters' commonsense files: instruction, input, output, answer.

    The source is ``AGI-Edgerunners/LLM-Adapters``, ``dataset/*/train.json`` and ``test.json``.

    Its code (``generate_prompt`` in ``finetune.py`` and ``commomsense_evaluate.py``) puts an
    instruction into Alpaca's prompt. Here that prompt is in its plain form, that of
    ``tloen/alpaca-lora``: each line begins at its margin. In LLM-Adapters all lines but the first
    are indented by the 16 spaces that they have in its source; in training the first one ends in
    ``# noqa: E501``, a comment that fell into the text, and in testing in a space instead. These
    are artefacts of the source. They cost tokens and differ between training and testing, so they
    are not reproduced here.
    https://github.com/AGI-Edgerunners/LLM-Adapters/blob/063e3d420afb85aae1893a9e9ea4a4e21a7cb5ed/finetune.py
    """

    name: Literal["llm_adapters"] = "llm_adapters"
    """Rows are in LLM-Adapters' format."""
    reading: Literal["generate", "cloze"] = "generate"
    """``generate``: the instruction is in Alpaca's prompt, the answer "the correct answer is
    answer3". ``cloze``: the answer is the text of the right option, which a model without
    instruction tuning can rank, too. Both have choices, and are scored by the likeliest of these;
    only the tasks by name (``kind: tasks``) are scored by what is generated."""

    def read(self, row: Mapping[str, object], *, where: str) -> Example:
        """Returns the example that ``row`` holds, with its choices.

        Args:
            row: one row, by field.
            where: file and line, or split and row number, for messages.

        Raises:
            DataError: a field is missing or not text, or the options cannot be told apart.
        """
        if self.reading == "generate":
            _, names, _ = _offered(row, where=where)
            return self._as_generation(row, names=names, where=where)
        question, options, right = question_and_options(row, where=where)
        return Example(
            prompt=_cloze(question),
            answer=f" {options[right]}",
            choices=tuple(f" {option}" for option in options),
        )

    def asked(self) -> dict[str, str]:
        """Returns what a prompt is made of, each with a word on how it is written."""
        return {"question": ""} if self.reading == "cloze" else {"instruction": "", "input": ""}

    def prompt_of(self, row: Mapping[str, object], *, where: str) -> Example:
        """Returns the prompt of a row that has no answer.

        Args:
            row: with the fields of :meth:`asked`; in the place of an instruction with its options
                ``cloze`` takes the question alone.
            where: place of the row, for messages.

        Raises:
            DataError: a field is missing or not text.
        """
        texts = [text_of(row, name, where=where) for name in self.asked()]
        return Example(_cloze(*texts) if self.reading == "cloze" else _alpaca(*texts), "")

    def fields(self) -> tuple[str, ...]:
        """Returns the fields that it reads, each once."""
        return ("instruction", "input", "output", "answer")

    def templates(self) -> tuple[str, ...]:
        """Returns nothing: it has no templates."""
        return ()

    def files(self) -> tuple[Path, ...]:
        """Returns nothing: it needs no file besides the rows."""
        return ()

    def _as_generation(
        self, row: Mapping[str, object], *, names: tuple[str, ...], where: str
    ) -> Example:
        asked, given = (text_of(row, field, where=where) for field in ("instruction", "input"))
        output = text_of(row, "output", where=where)
        name = text_of(row, "answer", where=where)
        if not output.endswith(name):
            raise DataError(
                f"{where}: the output {output!r} does not end in the answer {name!r}; "
                "an LLM-Adapters output is 'the correct answer is ' and the answer; "
                "correct the row or use data.format.name: fields"
            )
        stem = output.removesuffix(name)
        return Example(
            prompt=_alpaca(asked, given),
            answer=output,
            choices=tuple(stem + other for other in names),
        )


def question_and_options(
    row: Mapping[str, object], *, where: str
) -> tuple[str, tuple[str, ...], int]:
    """Returns question, options and which one is right, of a row of LLM-Adapters.

    Raises:
        DataError: a field is missing or not text, or the options cannot be told apart.
    """
    body, names, right = _offered(row, where=where)
    question, options = _split_options(body, names, where=where)
    return question, options, right


def _offered(row: Mapping[str, object], *, where: str) -> tuple[str, tuple[str, ...], int]:
    """Returns the instruction without its last line, the answers there, and which one is right."""
    instruction = text_of(row, "instruction", where=where)
    answer = text_of(row, "answer", where=where)
    found = _ANSWER_FORMAT.search(instruction)
    names = tuple(found[1].split("/")) if found else ()
    if found is None or answer not in names:
        raise DataError(
            f"{where}: the answer is {answer!r} but the instruction's 'Answer format' line "
            f"offers {', '.join(names) or 'nothing'}; an LLM-Adapters row ends in "
            "'Answer format: answer1/answer2/…' and answers with one of them; "
            "use data.format.name: fields for other rows"
        )
    return instruction[: found.start()], names, names.index(answer)


def _cloze(question: str) -> str:
    return f"Question: {question}\nAnswer:"


def _alpaca(instruction: str, given: str) -> str:
    """Returns the prompt of Alpaca, with the input that is given where it is not empty."""
    more = ", paired with an input that provides further context" if given else ""
    parts = [
        f"Below is an instruction that describes a task{more}. "
        "Write a response that appropriately completes the request.",
        f"### Instruction:\n{instruction}",
    ]
    if given:
        parts.append(f"### Input:\n{given}")
    return "\n\n".join([*parts, "### Response:\n"])


def _split_options(body: str, names: tuple[str, ...], *, where: str) -> tuple[str, tuple[str, ...]]:
    """Returns the question and the options' texts; BoolQ has no option texts, only their names."""
    labels = [f"{name.capitalize()}:" for name in names]
    question = body.partition(": ")[2].strip()
    if labels[0] not in body:
        return question, names
    texts = []
    rest = body
    for label in labels:
        before, found, rest = rest.partition(label)
        if not found:
            raise DataError(
                f"{where}: option {label!r} is not in the instruction, though its 'Answer format' "
                f"line offers {', '.join(names)}; each one needs its label; correct the row"
            )
        texts.append(before.strip())
    texts.append(rest.strip())
    return texts[0].partition(": ")[2].strip(), tuple(texts[1:])
