"""US-Terms of LegalLAMA: a legal term that was masked in a sentence of a US court's opinion."""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.data.examples import Example
from sweeper.data.reading.hub import HubSource
from sweeper.data.reading.rows import Row
from sweeper.data.tasks.task import Files, Task
from sweeper.data.templates import text_of

__all__ = ["US_TERMS"]

_HEAD = "Which legal term belongs in the place of [MASK]?"


def _read(row: Row, where: str) -> Sequence[Example]:
    masked = row.get("masked_sentences")
    # A list of one sentence, as LAMA has them, or the sentence itself.
    sentence = masked[0] if isinstance(masked, list) and masked else masked
    text = text_of({**row, "masked_sentences": sentence}, "masked_sentences", where=where)
    text = text.replace("<mask>", "[MASK]")
    term = text_of(row, "obj_label", where=where)
    topic = text_of(row, "legal_topic", where=where) if "legal_topic" in row else ""
    prompt = f"{_HEAD}\n{text}\nAnswer:"
    return (Example(prompt, f" {term}", domain=topic, references=(term,)),)


US_TERMS = Task(
    name="us_terms",
    summary="the legal term that a sentence of a US court's opinion lacks",
    licence="CC BY-NC-SA 4.0",
    citation="Chalkidis et al. 2023, LeXFiles and LegalLAMA, arXiv:2305.07507",
    read=_read,
    metrics=("exact",),
    files={"train": Files("us_terms/train.jsonl")},
    # Made to probe models with, it has a test split alone, on which the MASA paper trains. Its
    # repository is a script, which datasets no longer runs; the Hub's own conversion is read.
    hub=HubSource(
        "lexlms/legal_lama",
        revision="refs/convert/parquet",
        subsets=("us_terms",),
        splits={"train": "test"},
    ),
    max_new_tokens=16,
    stop=("\n",),
)
