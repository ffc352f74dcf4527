"""A trial evaluated on demand, after its sweep: on our tasks, or by lm-evaluation-harness.

The result is written to a separate file in the trial's folder. The record, which the search, the
ranking and the report read, does not contain it: no trial is chosen by it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from sweeper._files import write_text
from sweeper.analysis.lookup import FoundTrial
from sweeper.analysis.statistics.paired import differences
from sweeper.data import Example
from sweeper.data.questions import subset
from sweeper.data.sources.mixture import TasksDataSpec
from sweeper.data.tasks import expand
from sweeper.errors import BadInputError, DataError
from sweeper.estimates import to_metrics
from sweeper.evaluation.adapter import (
    evaluate_adapter,
    evaluate_frozen,
    hold_base_of,
    require_domains,
    with_adapter,
)
from sweeper.evaluation.harness.run import find_harness_tasks, run_harness
from sweeper.evaluation.metrics.python_function import load_function
from sweeper.experiment.trial import TrialSpec
from sweeper.models.frozen import FrozenBase
from sweeper.models.inspection import positions_of

__all__ = [
    "EVALUATIONS_FOLDER",
    "EvaluationRequest",
    "Evaluator",
    "TrialEvaluation",
    "evaluate_trial",
]

EVALUATIONS_FOLDER = "evaluations"
"""Name of the folder in a trial's that holds a file of each evaluation, named by its time, UTC."""

Evaluator = Literal["sweeper", "lm-evaluation-harness"]


@dataclass(frozen=True)
class EvaluationRequest:
    """A request to evaluate a trial."""

    tasks: tuple[str, ...] = ()
    """Names of tasks or mixtures, or of the harness's tasks; those of the trial's data where
    empty."""
    split: Literal["test", "validation"] = "test"
    rows: int | None = None
    """Most rows of each task; all where None."""
    has_base: bool = False
    """Whether the frozen base is evaluated, too."""
    is_harness: bool = False
    """Whether lm-evaluation-harness evaluates."""
    harness_tasks: Path | None = None
    """Folder with tasks of one's own for it."""


class TrialEvaluation(BaseModel):
    """The result of one evaluation."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", use_attribute_docstrings=True, ser_json_inf_nan="strings"
    )

    trial: str
    """Identity of the trial."""
    sweep: str
    """Name of its sweep."""
    method: str
    """Name of the method."""
    evaluator: Evaluator
    """Whose prompts and whose code."""
    tasks: list[str]
    """As they were asked for; empty for those of the trial's data."""
    split: str
    """``test`` or ``validation``; empty where each task of the harness has its own."""
    rows: dict[str, int]
    """Rows evaluated, by task; under an empty name if the data is not made of tasks."""
    rows_left_out: dict[str, int] = {}
    """Rows left out, because an answer is too long for ``train.max_length``; by task, in the same
    way."""
    metrics: dict[str, float]
    """Metrics of the trial, each with its standard error under ``<name>_se``."""
    base_metrics: dict[str, float] = {}
    """Metrics of the frozen base on the same rows; empty if it was not evaluated."""
    gains: dict[str, float] = {}
    """The trial's minus the base's, each with the standard error of paired examples
    (:func:`sweeper.analysis.statistics.paired.difference`) under ``<name>_se``; empty where the
    harness asked, which tells nothing of single rows."""
    protocol: dict[str, JsonValue] = {}
    """Protocol of the evaluation."""
    precision: str
    """``fp32``, ``bf16`` or ``fp16``: of the base's weights."""
    device: str
    """Where it ran."""
    data_fingerprint: str = ""
    """Hash of the trial's data as it is now."""
    notes: list[str] = []
    """A sentence where the trial was evaluated with what it was trained with, and a file that its
    spec names has changed."""
    wall_time_s: float = Field(ge=0)
    """Seconds that it took, loading included."""
    ended_at: datetime
    """When it was done, UTC."""
    path: str
    """File that holds it, absolute."""

    def document(self) -> dict[str, Any]:
        """Returns it as plain JSON; what is no finite number is a text in it."""
        document: dict[str, Any] = json.loads(self.model_dump_json())
        return document


def evaluate_trial(found: FoundTrial, asked: EvaluationRequest) -> TrialEvaluation:
    """Evaluates the adapter of a trial on its base model, and writes the result to a file.

    Args:
        found: the trial.
        asked: on what, and by whom.

    Raises:
        BadInputError: the trial has no adapter; a task is unknown; a model, data, a package or a
            function that is a metric is not there. Nothing was written.
        TrialError: the evaluation itself failed.
    """
    started_s = time.perf_counter()
    _require_sense(asked)
    trial, adapter = found.spec(), found.adapter()
    trial.model.require_available()
    if not asked.tasks:
        for function in trial.evaluation.functions:
            load_function(function)
    evaluate = (_by_harness if asked.is_harness else _by_tasks)(asked)
    base = hold_base_of(trial)
    require_domains(trial, base)
    folder = found.results_folder(EVALUATIONS_FOLDER)
    result = evaluate(trial, base, adapter)
    now = datetime.now(UTC)
    name = f"{now:%Y%m%dT%H%M%S.%f}Z.json"
    written = TrialEvaluation(
        trial=found.trial.id,
        sweep=found.sweep.name,
        method=trial.method.label,
        evaluator="lm-evaluation-harness" if asked.is_harness else "sweeper",
        tasks=list(asked.tasks),
        split="" if asked.is_harness else asked.split,
        rows=dict(result.rows),
        rows_left_out=dict(result.rows_left_out),
        metrics=dict(result.metrics),
        base_metrics=dict(result.base_metrics),
        gains=dict(result.gains),
        protocol=json.loads(json.dumps(dict(result.protocol))),
        precision=trial.engine.precision,
        device=str(base.device),
        data_fingerprint=base.data.fingerprint,
        notes=list(found.notes()),
        wall_time_s=time.perf_counter() - started_s,
        ended_at=now,
        path=str((folder / name).absolute()),
    )
    write_text(Path(written.path), written.model_dump_json(indent=2) + "\n")
    return written


@dataclass(frozen=True)
class _Result:
    """Numbers of a trial and, where it was asked, of its base."""

    rows: Mapping[str, int]
    metrics: Mapping[str, float]
    base_metrics: Mapping[str, float]
    protocol: Mapping[str, object]
    rows_left_out: Mapping[str, int] = field(default_factory=dict)
    gains: Mapping[str, float] = field(default_factory=dict)


_Evaluate = Callable[[TrialSpec, FrozenBase, Path], _Result]


def _require_sense(asked: EvaluationRequest) -> None:
    if asked.is_harness and not asked.tasks:
        raise BadInputError(
            "tasks: none is given; --harness needs names of its own tasks, listed by "
            "`lm-eval ls tasks`; add --tasks arc_easy,hellaswag"
        )
    if asked.is_harness and asked.split != "test":
        raise BadInputError(
            f"split: got {asked.split} with --harness, whose tasks each say which split they "
            "read; leave --split out"
        )
    if asked.harness_tasks is not None and not asked.is_harness:
        raise BadInputError(
            f"harness-tasks: got {asked.harness_tasks} without --harness, which is the only reader "
            "of it; add --harness"
        )


def _by_tasks(asked: EvaluationRequest) -> _Evaluate:
    """Returns the evaluation on our tasks; a wrong name shows before the model is loaded."""
    for name in asked.tasks:
        expand(name)

    def evaluate(trial: TrialSpec, base: FrozenBase, adapter: Path) -> _Result:
        examples = _examples(trial, base, asked)
        found = evaluate_adapter(trial, base, adapter, examples)
        result = _Result(found.rows, found.metrics, {}, found.protocol, found.rows_left_out)
        if not asked.has_base:
            return result
        frozen = evaluate_frozen(trial, base, examples)
        gains = differences(found.estimates, frozen.estimates)
        return replace(result, base_metrics=frozen.metrics, gains=to_metrics(gains))

    return evaluate


def _by_harness(asked: EvaluationRequest) -> _Evaluate:
    """Returns the evaluation by the harness, whose data is there before the model is loaded."""
    tasks = find_harness_tasks(asked.tasks, folder=asked.harness_tasks)

    def evaluate(trial: TrialSpec, base: FrozenBase, adapter: Path) -> _Result:
        with with_adapter(trial, base, adapter) as given:
            positions = positions_of(base.model.config.to_dict())
            virtual = given.virtual_tokens
            found = run_harness(
                tasks,
                given.model,
                base.tokenizer,
                rows=asked.rows,
                max_length=positions - virtual if positions and virtual else None,
                task_ids=require_domains(trial, base) if trial.method.needs_task_ids else None,
            )
        frozen: Mapping[str, float] = {}
        if asked.has_base:
            frozen = run_harness(tasks, base.model, base.tokenizer, rows=asked.rows).metrics
        protocol = {"version": found.version, "shots": dict(found.shots)}
        return _Result(found.rows, found.metrics, frozen, protocol)

    return evaluate


def _examples(trial: TrialSpec, base: FrozenBase, asked: EvaluationRequest) -> tuple[Example, ...]:
    """Returns the rows that were asked for.

    Raises:
        DataError: there are none.
    """
    data = trial.data
    found: Sequence[Example] = getattr(base.data.splits, asked.split)
    if isinstance(data, TasksDataSpec) and asked.split == "test":
        found = data.test_examples(asked.tasks, rows=asked.rows)
    elif isinstance(data, TasksDataSpec) and asked.tasks:
        names = {task.name for name in asked.tasks for task in expand(name)}
        found = [example for example in found if example.task in names]
    elif asked.tasks:
        tasks = [task for name in asked.tasks for task in expand(name)]
        found = [e for task in tasks for e in task.load(asked.split, rows=asked.rows).examples]
    if not found:
        raise DataError(
            f"there are no rows to evaluate on: got {', '.join(asked.tasks) or 'the data'} in the "
            f"{asked.split} split; the validation split has only rows of the tasks trained on; "
            "name other tasks, or another split"
        )
    return _at_most(found, asked.rows)


def _at_most(examples: Sequence[Example], rows: int | None) -> tuple[Example, ...]:
    """Returns at most so many examples of each task, drawn with a fixed seed, in their order."""
    places: dict[str, list[int]] = {}
    for place, example in enumerate(examples):
        places.setdefault(example.task, []).append(place)
    kept = [own[i] for own in places.values() for i in subset(len(own), rows or len(own))]
    return tuple(examples[place] for place in sorted(kept))
