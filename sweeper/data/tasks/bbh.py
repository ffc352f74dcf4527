"""BIG-Bench Hard: 27 tasks, zero-shot, with answer choices or free answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sweeper.data.examples import Example
from sweeper.data.reading.hub import HubSource
from sweeper.data.reading.rows import Row
from sweeper.data.tasks.lettered import lettered, options_of
from sweeper.data.tasks.task import Files, Task
from sweeper.data.templates import text_of

__all__ = ["BBH", "BBH_FREE", "BBH_TASKS"]

_NAMES = (
    "boolean_expressions causal_judgement date_understanding disambiguation_qa dyck_languages "
    "formal_fallacies geometric_shapes hyperbaton logical_deduction_five_objects "
    "logical_deduction_seven_objects logical_deduction_three_objects movie_recommendation "
    "multistep_arithmetic_two navigate object_counting penguins_in_a_table "
    "reasoning_about_colored_objects ruin_names salient_translation_error_detection snarks "
    "sports_understanding temporal_sequences tracking_shuffled_objects_five_objects "
    "tracking_shuffled_objects_seven_objects tracking_shuffled_objects_three_objects "
    "web_of_lies word_sorting"
)
BBH_TASKS = tuple(_NAMES.split())


def _choice(row: Row, where: str) -> Sequence[Example]:
    example = lettered(
        text_of(row, "question", where=where),
        options_of(row, where=where),
        text_of(row, "answer", where=where).strip(),
        head="",
        where=where,
    )
    return (replace(example, domain=text_of(row, "part", where=where)),)


def _free(row: Row, where: str) -> Sequence[Example]:
    target = text_of(row, "target", where=where)
    return (
        Example(
            prompt=f"Q: {text_of(row, 'input', where=where)}\nA:",
            answer=f" {target}",
            domain=text_of(row, "part", where=where),
            references=(target,),
        ),
    )


BBH = Task(
    name="bbh",
    summary="27 hard tasks with answer choices, as CoLA made them and the MASA paper uses them",
    licence="MIT",
    citation="Suzgun et al. 2022, arXiv:2210.09261; choices: github.com/zyy-2001/CoLA "
    "(LLaMA-Factory/evaluation/bbh)",
    read=_choice,
    metrics=("choice",),
    files={"test": Files("bbh_mc/*.csv")},
    max_new_tokens=4,
    stop=("\n",),
)

BBH_FREE = Task(
    name="bbh_free",
    summary="the same 27 tasks, answered freely",
    licence="MIT",
    citation="Suzgun et al. 2022, arXiv:2210.09261; github.com/suzgunmirac/BIG-Bench-Hard",
    read=_free,
    metrics=("exact",),
    files={"test": Files("bbh/*.json")},
    hub=HubSource(
        "SaylorTwift/bbh",
        revision="b5306be6f827cfafbb545ff5a51f96916029b0fd",
        subsets=BBH_TASKS,
        splits={"test": "test"},
    ),
    max_new_tokens=64,
    stop=("\n", "Q:"),
    version=2,
)
