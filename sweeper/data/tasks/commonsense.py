"""The eight commonsense sets of LLM-Adapters' ``commonsense_170k``, in two readings.

``boolq`` and its like ask for "the correct answer is answer3" in Alpaca's prompt, as LLM-Adapters
does, and score the first option that is named in what a model writes (``option``). The MoSA paper
trains on this mixture. ``boolq_cloze`` and its like rank the texts of the options, which a model
without instruction tuning can do, too.

What else differs from LLM-Adapters' ``finetune.py`` and ``commomsense_evaluate.py``:

* Prompt: without the indentation of their source, see
  :class:`~sweeper.data.formats.LlmAdaptersFormat`.
* Decoding: they search with four beams (their temperature of 0.1 is without effect, as nothing is
  sampled); here the likeliest token is taken, as in the MoSA paper (section 4.3, temperature 0).
  Both write at most 32 tokens, but here a line break ends them: of a model that answers in a later
  line they would see the option.
* Training: their loss is on the prompt, too, and a row is cut at its right end, after 256 tokens;
  here it is on the answer alone, and ``train.max_length`` cuts the prompt on its left.
* Rows: those from the Hub are put into LLM-Adapters' words here. Their WinoGrande has about 63,000
  training rows, ``winogrande_xl`` 40,398.

https://github.com/AGI-Edgerunners/LLM-Adapters/blob/e0efdc0e8bb43875201e24528d3ee0fe2595876d/commomsense_evaluate.py
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from sweeper.data.examples import Example
from sweeper.data.formats import LlmAdaptersFormat, question_and_options
from sweeper.data.reading.hub import HubSource, Split
from sweeper.data.reading.rows import Row
from sweeper.data.tasks.clips import joined_clips
from sweeper.data.tasks.task import Files, Task
from sweeper.data.templates import text_of
from sweeper.errors import DataError

__all__ = ["CLOZE", "COMMONSENSE"]

_GENERATE = LlmAdaptersFormat(reading="generate")
_WITH_TEST: Mapping[Split, str] = {"train": "train", "test": "test"}
# These keep the answers of their test split to themselves; LLM-Adapters tests on validation.
_WITHOUT_TEST: Mapping[Split, str] = {"train": "train", "test": "validation"}


@dataclass(frozen=True)
class _Set:
    """What one of the eight has of its own."""

    name: str
    folder: str
    """Folder of LLM-Adapters."""
    summary: str
    licence: str
    citation: str
    hub: HubSource
    instruction: Callable[[Row, str], tuple[str, str]]
    """Takes a row of the Hub and its place; returns LLM-Adapters' instruction, and its answer."""
    cloze: Literal["question", "continue", "blank"] = "question"
    """How an option's text follows the question: as its answer, as the rest of the sentence, or in
    the place of its blank and with what comes after it."""
    has_clips: bool = False
    """Whether several rows in sequence tell one clip."""
    version: int = 1


def _asked(head: str, options: Sequence[str], *, name: str, between: str = " ") -> str:
    """Returns an instruction in LLM-Adapters' words."""
    lines = between.join(f"{name.capitalize()}{n}: {text}" for n, text in enumerate(options, 1))
    names = "/".join(f"{name}{n}" for n in range(1, len(options) + 1))
    # The source of WinoGrande has no blank line here.
    gap = " " if name == "option" else "\n\n"
    return f"{head}\n\n{lines}{gap}Answer format: {names}"


def _boolq(row: Row, where: str) -> tuple[str, str]:
    question = text_of(row, "question", where=where)
    head = "Please answer the following question with true or false, question: "
    answer = text_of(row, "answer", where=where).lower()
    return f"{head}{question}?\n\nAnswer format: true/false", answer


def _piqa(row: Row, where: str) -> tuple[str, str]:
    head = "Please choose the correct solution to the question: " + text_of(
        row, "goal", where=where
    )
    options = [text_of(row, field, where=where) for field in ("sol1", "sol2")]
    label = int(text_of(row, "label", where=where))
    return _asked(head, options, name="solution", between="\n\n"), f"solution{label + 1}"


def _siqa(row: Row, where: str) -> tuple[str, str]:
    asked = " ".join(text_of(row, field, where=where) for field in ("context", "question"))
    options = [text_of(row, f"answer{letter}", where=where) for letter in "ABC"]
    head = f"Please choose the correct answer to the question: {asked}"
    return _asked(head, options, name="answer"), f"answer{text_of(row, 'label', where=where)}"


def _hellaswag(row: Row, where: str) -> tuple[str, str]:
    sentence = ": ".join(text_of(row, field, where=where) for field in ("activity_label", "ctx"))
    head = f"Please choose the correct ending to complete the given sentence: {sentence}"
    label = int(text_of(row, "label", where=where))
    return _asked(head, _texts(row, "endings", where), name="ending"), f"ending{label + 1}"


def _winogrande(row: Row, where: str) -> tuple[str, str]:
    head = (
        "Please choose the correct answer to fill in the blank to complete the given sentence: "
        + text_of(row, "sentence", where=where)
    )
    options = [text_of(row, field, where=where) for field in ("option1", "option2")]
    return _asked(head, options, name="option"), f"option{text_of(row, 'answer', where=where)}"


def _labelled(row: Row, where: str, *, question: str) -> tuple[str, str]:
    """Reads a row of ARC or OpenBookQA: its labels are letters, of a few rows of ARC numbers."""
    choices = row.get("choices")
    if not isinstance(choices, Mapping):
        raise DataError(
            f"{where}: field 'choices' is {choices!r}; it must hold lists 'text' and 'label'; "
            "correct the row"
        )
    labels = _texts(choices, "label", where)
    key = text_of(row, "answerKey", where=where)
    if key not in labels:
        raise DataError(
            f"{where}: answerKey is {key!r} but the labels are {', '.join(labels)}; it must be one "
            "of them; correct the row"
        )
    head = "Please choose the correct answer to the question: " + text_of(
        row, question, where=where
    )
    instruction = _asked(head, _texts(choices, "text", where), name="answer")
    return instruction, f"answer{labels.index(key) + 1}"


def _texts(row: Row, field: str, where: str) -> list[str]:
    found = row.get(field)
    if not isinstance(found, list | tuple):
        raise DataError(f"{where}: field {field!r} is {found!r}; it must be a list of texts")
    return [str(text) for text in found]


_ARC = partial(_labelled, question="question")
_ARC_REVISION = "210d026faf9955653af8916fad021475a3f00453"

_SETS = (
    _Set(
        name="boolq",
        folder="boolq",
        summary="yes-or-no questions, without the passages",
        licence="CC BY-SA 3.0",
        citation="Clark et al. 2019, arXiv:1905.10044",
        hub=HubSource(
            "google/boolq", "35b264d03638db9f4ce671b711558bf7ff0f80d5", splits=_WITHOUT_TEST
        ),
        instruction=_boolq,
    ),
    _Set(
        name="piqa",
        folder="piqa",
        summary="which of two solutions reaches a goal of everyday life",
        licence="AFL 3.0",
        citation="Bisk et al. 2020, arXiv:1911.11641",
        hub=HubSource(
            "baber/piqa", "142f6d7367fd9877f0fb3b5734ea6a545f54cdd1", splits=_WITHOUT_TEST
        ),
        instruction=_piqa,
    ),
    _Set(
        name="siqa",
        folder="social_i_qa",
        summary="questions about people in social situations",
        licence="CC BY 4.0",
        citation="Sap et al. 2019, arXiv:1904.09728",
        hub=HubSource("lighteval/siqa", splits=_WITHOUT_TEST),
        instruction=_siqa,
    ),
    _Set(
        name="hellaswag",
        folder="hellaswag",
        summary="which of four endings continues a description",
        licence="MIT",
        citation="Zellers et al. 2019, arXiv:1905.07830",
        hub=HubSource(
            "Rowan/hellaswag", "218ec52e09a7e7462a5400043bb9a69a41d06b76", splits=_WITHOUT_TEST
        ),
        instruction=_hellaswag,
        cloze="continue",
        has_clips=True,
        version=2,
    ),
    _Set(
        name="winogrande",
        folder="winogrande",
        summary="which of two names fills the blank of a sentence",
        licence="CC BY",
        citation="Sakaguchi et al. 2020, arXiv:1907.10641",
        hub=HubSource(
            "allenai/winogrande",
            "01e74176c63542e6b0bcb004dcdea22d94fb67b5",
            ("winogrande_xl",),
            _WITHOUT_TEST,
        ),
        instruction=_winogrande,
        cloze="blank",
    ),
    _Set(
        name="arc_easy",
        folder="ARC-Easy",
        summary="grade-school science questions, the easier ones",
        licence="CC BY-SA 4.0",
        citation="Clark et al. 2018, arXiv:1803.05457",
        hub=HubSource("allenai/ai2_arc", _ARC_REVISION, ("ARC-Easy",), _WITH_TEST),
        instruction=_ARC,
    ),
    _Set(
        name="arc_challenge",
        folder="ARC-Challenge",
        summary="grade-school science questions, the harder ones",
        licence="CC BY-SA 4.0",
        citation="Clark et al. 2018, arXiv:1803.05457",
        hub=HubSource("allenai/ai2_arc", _ARC_REVISION, ("ARC-Challenge",), _WITH_TEST),
        instruction=_ARC,
    ),
    _Set(
        name="openbookqa",
        folder="openbookqa",
        summary="elementary science questions that need a fact and common knowledge",
        licence="Apache-2.0",
        citation="Mihaylov et al. 2018, arXiv:1809.02789",
        hub=HubSource(
            "allenai/openbookqa",
            "388097ea7776314e93a529163e0fea805b8a6454",
            ("main",),
            _WITH_TEST,
        ),
        instruction=partial(_labelled, question="question_stem"),
        cloze="continue",
    ),
)


def _adapters_row(row: Row, where: str, *, of: _Set) -> Row:
    """Returns a row in LLM-Adapters' form, which the local files have already."""
    if "instruction" in row:
        return row
    instruction, answer = of.instruction(row, where)
    output = f"the correct answer is {answer}"
    return {**row, "instruction": instruction, "input": "", "output": output, "answer": answer}


def _generate(row: Row, where: str, *, of: _Set) -> Sequence[Example]:
    row = _adapters_row(row, where, of=of)
    example = _GENERATE.read(row, where=where)
    return (replace(example, unit=_unit(row, where, of=of)),)


def _cloze(row: Row, where: str, *, of: _Set) -> Sequence[Example]:
    row = _adapters_row(row, where, of=of)
    question, options, right = question_and_options(row, where=where)
    prompt, rest = f"Question: {question}\nAnswer:", ""
    if of.cloze == "continue":
        prompt = question
    elif of.cloze == "blank":
        before, _, rest = question.partition("_")
        prompt = before.rstrip()
    choices = tuple(f" {option}{rest}" for option in options)
    unit = _unit(row, where, of=of)
    return (Example(prompt=prompt, answer=choices[right], choices=choices, unit=unit),)


def _unit(row: Row, where: str, *, of: _Set) -> str:
    """Returns what rows share that belong together.

    WinoGrande's two options, in any order, which the twins of a sentence have in common; the name
    of HellaSwag's clip, or what is told of it where the row does not name it.
    """
    if of.cloze != "blank" and not of.has_clips:
        return ""
    if "source_id" in row:
        return text_of(row, "source_id", where=where)
    question, options, right = question_and_options(row, where=where)
    return f"{question} {options[right]}" if of.has_clips else " / ".join(sorted(options))


def _task(of: _Set, *, is_cloze: bool) -> Task:
    return Task(
        name=f"{of.name}_cloze" if is_cloze else of.name,
        summary=of.summary,
        licence=of.licence,
        citation=f"{of.citation}; prompts: Hu et al. 2023, LLM-Adapters, arXiv:2304.01933; "
        "github.com/AGI-Edgerunners/LLM-Adapters",
        read=partial(_cloze if is_cloze else _generate, of=of),
        metrics=("choice",) if is_cloze else ("option",),
        files={
            "train": Files(f"commonsense/{of.folder}/train.jsonl"),
            "test": Files(f"commonsense/{of.folder}/test.jsonl"),
        },
        hub=of.hub,
        # As in LLM-Adapters' evaluation.
        max_new_tokens=32,
        stop=("\n",),
        join=joined_clips if of.has_clips else None,
        # Generations are asked for in another prompt since version 1.
        version=of.version if is_cloze else of.version + 1,
    )


COMMONSENSE = tuple(_task(of, is_cloze=False) for of in _SETS)
CLOZE = tuple(_task(of, is_cloze=True) for of in _SETS)
