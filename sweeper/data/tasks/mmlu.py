"""MMLU: four-choice questions in 57 subjects, zero-shot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sweeper.data.examples import Example
from sweeper.data.reading.hub import HubSource
from sweeper.data.reading.rows import Row
from sweeper.data.tasks.lettered import lettered, options_of
from sweeper.data.tasks.task import Files, Task
from sweeper.data.templates import text_of
from sweeper.errors import DataError

__all__ = ["MMLU", "MMLU_GROUPS", "MMLU_LAW"]

_COLUMNS = ("question", "A", "B", "C", "D", "answer")
_LETTERS = "ABCD"

# The groups that the authors average over: github.com/hendrycks/test, categories.py. The MASA
# paper's Table 1 has these four.
_SUBJECTS = {
    "stem": (
        "abstract_algebra astronomy college_biology college_chemistry college_computer_science "
        "college_mathematics college_physics computer_security conceptual_physics "
        "electrical_engineering elementary_mathematics high_school_biology high_school_chemistry "
        "high_school_computer_science high_school_mathematics high_school_physics "
        "high_school_statistics machine_learning"
    ),
    "humanities": (
        "formal_logic high_school_european_history high_school_us_history "
        "high_school_world_history international_law jurisprudence logical_fallacies "
        "moral_disputes moral_scenarios philosophy prehistory professional_law world_religions"
    ),
    "social_sciences": (
        "econometrics high_school_geography high_school_government_and_politics "
        "high_school_macroeconomics high_school_microeconomics high_school_psychology "
        "human_sexuality professional_psychology public_relations security_studies sociology "
        "us_foreign_policy"
    ),
    "other": (
        "anatomy business_ethics clinical_knowledge college_medicine global_facts human_aging "
        "management marketing medical_genetics miscellaneous nutrition professional_accounting "
        "professional_medicine virology"
    ),
}
MMLU_GROUPS = {group: tuple(names.split()) for group, names in _SUBJECTS.items()}
_GROUP_OF = {subject: group for group, found in MMLU_GROUPS.items() for subject in found}


def _read(row: Row, where: str) -> Sequence[Example]:
    subject = text_of(row, "subject" if "subject" in row else "part", where=where)
    if subject not in _GROUP_OF:
        raise DataError(
            f"{where}: unknown subject {subject!r}; MMLU has {len(_GROUP_OF)}: "
            f"{', '.join(sorted(_GROUP_OF))}; rename the file or correct the row"
        )
    answer = text_of(row, "answer", where=where).strip()
    if "choices" in row:
        texts = row["choices"]
        assert isinstance(texts, list | tuple)
        options = dict(zip(_LETTERS, map(str, texts), strict=False))
        answer = _LETTERS[int(answer)] if answer in {"0", "1", "2", "3"} else answer
    else:
        options = options_of(row, where=where)
    example = lettered(
        text_of(row, "question", where=where),
        options,
        answer,
        head=(
            "The following are multiple choice questions (with answers) about "
            f"{subject.replace('_', ' ')}."
        ),
        where=where,
    )
    return (replace(example, domain=subject, group=_GROUP_OF[subject]),)


MMLU = Task(
    name="mmlu",
    summary="four-choice questions in 57 subjects",
    licence="MIT",
    citation="Hendrycks et al. 2021, arXiv:2009.03300; github.com/hendrycks/test",
    read=_read,
    metrics=("choice",),
    max_new_tokens=4,
    stop=("\n",),
    files={
        "train": Files("mmlu/dev/*_dev.csv", columns=_COLUMNS),
        "validation": Files("mmlu/val/*_val.csv", columns=_COLUMNS),
        "test": Files("mmlu/test/*_test.csv", columns=_COLUMNS),
    },
    hub=HubSource(
        "cais/mmlu",
        revision="c30699e8356da336a370243923dbaf21066bb9fe",
        subsets=("all",),
        splits={"train": "dev", "validation": "validation", "test": "test"},
    ),
)

MMLU_LAW = replace(
    MMLU,
    name="mmlu_law",
    summary="the three subjects of MMLU on law",
    parts=frozenset({"international_law", "jurisprudence", "professional_law"}),
)
