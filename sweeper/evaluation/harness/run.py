"""lm-evaluation-harness as a second opinion: the same model, by others' prompts and others' code.

On the same rows and the same prompt its numbers are ours, of which a test makes sure:

============  ==========================  =================================================
the harness   here                        what is compared between the choices
============  ==========================  =================================================
``acc``       ``accuracy``                log-probability of the text
``acc_norm``  ``accuracy_per_character``  the same, divided by the text's characters
============  ==========================  =================================================

Its standard error of a mean is ours, too. On the first 200 rows of ARC-Easy (``arc_easy_cloze``)
SmolLM2-135M has 0.510 ± 0.035 by ``accuracy`` and ``acc``, 0.465 ± 0.035 by
``accuracy_per_character`` and ``acc_norm``. With the end-of-text token it has 0.410 ± 0.035: a base
that was never told where an answer ends is a bad judge of that. What may make a difference:

* Prompts. A task of the harness has its own, often with examples in it; and our commonsense tasks
  read the rows of LLM-Adapters, where a few were reworded.
* Spaces. The harness tokenises prompt and choice together and then cuts, we tokenise them apart;
  with a choice that begins with the only space between the two that is the same. A prompt that
  ends in a space is not: the harness moves the space into the choice. ``acc_norm`` counts spaces
  that a choice itself begins or ends with (not the one before it), we do not.
* Rows with one choice twice: the harness keeps both, and only one of them is right.
* Length. The harness cuts a row to what the model can take, begin-of-text token included; we cut a
  prompt to the trial's ``train.max_length`` and keep that token.
* Rows. ``limit`` takes the first ones, ours are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeper._text import guess
from sweeper.errors import BadInputError, MissingError, TrialError

if TYPE_CHECKING:
    from lm_eval.tasks import TaskManager
    from torch import nn
    from transformers import PreTrainedTokenizerBase

__all__ = ["HarnessResult", "HarnessTasks", "find_harness_tasks", "run_harness"]

INSTALL = "pip install 'masa-mosa-sweeper[harness]'"
# Draws for the error of a metric that is no mean (F1, BLEU); the harness's 100,000 take minutes.
BOOTSTRAP_DRAWS = 1000


@dataclass(frozen=True)
class HarnessTasks:
    """Tasks of the harness, found and with their data at hand."""

    names: tuple[str, ...]
    """As they were asked for: tasks, groups or tags."""
    manager: TaskManager
    """Of the harness, which knows them."""


@dataclass(frozen=True)
class HarnessResult:
    """What the harness found."""

    metrics: Mapping[str, float]
    """``<task>/<metric>``, of groups, too; with ``/<filter>`` behind it where the harness reads
    answers in several ways; each with its standard error under ``<name>_se``."""
    rows: Mapping[str, int]
    """Rows asked, by task."""
    shots: Mapping[str, int]
    """Examples in the prompt, by task."""
    version: str
    """Of the harness."""


def find_harness_tasks(names: Sequence[str], *, folder: Path | None = None) -> HarnessTasks:
    """Returns tasks of the harness; their data is read, or fetched from the Hub, here.

    Args:
        names: of tasks, groups or tags.
        folder: with tasks of one's own as YAML files, which come before the harness's.

    Raises:
        MissingError: the harness, the data or a package that a task needs is not there.
        BadInputError: there is no such task, or it cannot be used.
    """
    if find_spec("lm_eval") is None:
        raise MissingError(
            "lm-evaluation-harness is not installed; --harness needs the package lm-eval; "
            f"run: {INSTALL}"
        )
    if folder is not None and not any(folder.rglob("*.yaml")):
        raise MissingError(
            f"harness-tasks: no *.yaml in {folder}; it must hold tasks in the harness's format; "
            "name another folder"
        )
    manager = _manager(names, folder)
    _require_known(names, manager)
    for name, task in _load(names, manager).items():
        if getattr(task, "UNSAFE_CODE", False):
            raise BadInputError(
                f"tasks: the harness would run the programs generated for {name} without a "
                "sandbox; tasks that run no programs are allowed; leave --harness out and "
                "evaluate humaneval, whose programs run in a sandbox"
            )
    return HarnessTasks(tuple(names), manager)


def run_harness(
    tasks: HarnessTasks,
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    *,
    rows: int | None = None,
    max_length: int | None = None,
    task_ids: Mapping[str, int] | None = None,
) -> HarnessResult:
    """Returns what the harness says of a model.

    Args:
        tasks: what to ask.
        model: transformers' or PEFT's, in evaluation mode.
        tokenizer: the model's.
        rows: how many rows of each task, the first ones; all where None.
        max_length: most tokens of a row; what the model's config says where None.
        task_ids: as of :class:`sweeper.evaluation.harness.model.HarnessModel`.

    Raises:
        TrialError: the harness cannot ask the model this.
    """
    from lm_eval import simple_evaluate

    from sweeper.evaluation.harness.model import HarnessModel

    asked = HarnessModel(model, tokenizer, max_length=max_length, task_ids=task_ids)
    try:
        found = simple_evaluate(
            model=asked,
            tasks=list(tasks.names),
            task_manager=tasks.manager,
            limit=rows,
            log_samples=False,
            bootstrap_iters=BOOTSTRAP_DRAWS,
        )
    except (AssertionError, ValueError) as error:
        raise TrialError(
            f"lm-evaluation-harness could not evaluate {', '.join(tasks.names)}: {error}; a row "
            f"may have {asked.max_length} tokens with this model; choose other tasks"
        ) from error
    return HarnessResult(
        metrics=_metrics(found["results"]),
        rows={name: int(counts["effective"]) for name, counts in found["n-samples"].items()},
        shots={name: int(shots) for name, shots in found["n-shot"].items()},
        version=version("lm-eval"),
    )


def _manager(names: Sequence[str], folder: Path | None) -> TaskManager:
    from lm_eval.tasks import TaskManager

    if folder is not None:
        # The harness has some ten thousand tasks of its own, and reads them all.
        own = TaskManager(include_path=str(folder), include_defaults=False)
        if set(names) <= set(own.all_tasks):
            return own
    return TaskManager(include_path=None if folder is None else str(folder))


def _require_known(names: Sequence[str], manager: TaskManager) -> None:
    known = list(manager.all_tasks)
    for name in names:
        if name not in known:
            hint = guess(name, known, otherwise="correct the name", most=3, cutoff=0.6)
            raise BadInputError(
                f"tasks: got {name!r}, which lm-evaluation-harness does not have; it has "
                f"{len(known):,} tasks, groups and tags, listed by `lm-eval ls tasks`; {hint}"
            )


def _load(names: Sequence[str], manager: TaskManager) -> Mapping[str, Any]:
    from datasets.exceptions import DatasetsError
    from yaml import YAMLError

    listed = ", ".join(names)
    try:
        tasks: Mapping[str, Any] = manager.load(list(names))["tasks"]
    except ImportError as error:
        raise MissingError(
            f"a task among {listed} needs a package that is not installed: {error}; the harness "
            f"names its extras in its README; run: {INSTALL} PACKAGE"
        ) from error
    except OSError as error:
        raise MissingError(
            f"the data of a task among {listed} cannot be had: {error}; it comes from the Hub, "
            "once, or from where the task's YAML file says; connect and repeat the command, or "
            "write a task that reads a local file and name its folder with --harness-tasks"
        ) from error
    except (
        *(DatasetsError, YAMLError, RuntimeError),
        *(AttributeError, KeyError, TypeError, ValueError),
    ) as error:
        raise BadInputError(
            f"a task among {listed} cannot be used: {type(error).__name__}: {error}; its data must "
            f"be readable by datasets {version('datasets')}, and its YAML file by lm-eval "
            f"{version('lm-eval')}; correct the file, or choose another task"
        ) from error
    return tasks


def _metrics(results: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Returns the harness's table by our names."""
    found: dict[str, float] = {}
    for task, values in results.items():
        for key, value in values.items():
            name, comma, way = key.partition(",")
            # Beside the metrics stand the task's title and, where there is no error, a text.
            if not comma or isinstance(value, bool) or not isinstance(value, int | float):
                continue
            metric = name.removesuffix("_stderr")
            where = f"{task}/{metric}" if way == "none" else f"{task}/{metric}/{way}"
            found[where if metric == name else f"{where}_se"] = float(value)
    return found
