"""Data made of the papers' tasks: a mixture to train on, tasks to test on."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from sweeper._spec import Spec
from sweeper.data.examples import Example, Splits
from sweeper.data.reading.places import data_path
from sweeper.data.splitting import key_of, sample, share_counts, split_off
from sweeper.data.tasks import MIXTURES, TASKS, expand, unknown_task
from sweeper.data.tasks.task import Task
from sweeper.errors import DataError

__all__ = ["TasksDataSpec"]

logger = logging.getLogger(__name__)


class TasksDataSpec(Spec):
    """Tasks by name (:mod:`sweeper.data.tasks`).

    The validation split always comes from the training rows, never from a test split.
    """

    kind: Literal["tasks"] = "tasks"
    """The data is made of tasks."""
    root: str | None = None
    """Folder with the tasks' files, or with folders in the Hub's layout; null uses ``SWEEPER_DATA``
    if set, else the Hub."""
    train: tuple[str, ...] | dict[str, float]
    """Names of tasks or mixtures. A list uses all rows of each. A mapping gives each one's share of
    the rows, and uses as many rows as possible without repeating any."""
    evaluate: tuple[str, ...] = ()
    """Names of the tasks or mixtures whose test splits are used; empty uses the trained ones."""
    scoring: Literal["own", "choice", "generate"] = "own"
    """How multiple-choice questions are scored. ``own``: as the task defines. ``choice``: by the
    likelihood of each option. ``generate``: by the generated text, with the task's own metric if it
    has one for generated text, else by exact match."""
    validation_fraction: float = Field(default=0.1, gt=0, lt=0.5)
    """Share of each trained task's rows that forms the validation split."""
    task_rows: int | None = Field(default=None, ge=1)
    """Most examples of each trained task, drawn with ``seed``; null uses all."""
    train_rows: int | None = Field(default=None, ge=1)
    """Most training rows in total, drawn with ``seed``; null uses all."""
    eval_rows: int | None = Field(default=None, ge=1)
    """Most validation rows in total, and most test rows of each task, drawn with ``seed``; null
    uses all. A row is an example: in a dialogue, one reply."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of the splits and of the drawn rows."""

    @field_validator("train", mode="before")
    @classmethod
    def _names_or_shares(cls, value: object) -> object:
        if isinstance(value, Mapping):
            for name, share in value.items():
                is_number = isinstance(share, int | float) and not isinstance(share, bool)
                if not is_number or not 0 < share < math.inf:
                    raise ValueError(
                        f"the share of {name!r} is {share!r}; it must be a number above 0; shares "
                        "need not sum to 1"
                    )
        _check_names(value)
        return value

    @field_validator("evaluate", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        if value not in ((), []):
            _check_names(value)
        return value

    def require_available(self) -> None:
        """Looks whether the rows can be had, without asking the Hub.

        Raises:
            MissingError: the rows of a task are not there.
            DataError: a task has no such split.
        """
        for task in self.trained():
            task.require_available("train", self._root())
        for task in self.evaluated():
            task.require_available("test", self._root())

    def pin(self) -> None:
        """Fixes which rows of the Hub are read, before the fingerprint; see ``HubSource.pin``.

        Raises:
            MissingError: the Hub does not answer.
        """
        for task in (*self.trained(), *self.evaluated()):
            task.pin(self._root())

    def fingerprint(self) -> str:
        """Returns a hash of the tasks' rows and of how each is read; see ``Task.fingerprint``."""
        parts = [f"train {task.fingerprint('train', self._root())}" for task in self.trained()]
        parts += [f"test {task.fingerprint('test', self._root())}" for task in self.evaluated()]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def load(self) -> Splits:
        """Returns the examples of all tasks; rows that cannot be one are left out and logged.

        Raises:
            MissingError: the rows of a task are not there.
            DataError: a task's rows cannot be read, or a split has no row.
        """
        splits, refused = self.loaded()
        if refused:
            logger.warning("left out %d bad rows; the first one: %s", len(refused), refused[0])
        return splits

    def loaded(self) -> tuple[Splits, tuple[str, ...]]:
        """Returns the examples, and of each row that cannot be one where it is and why.

        Raises:
            MissingError: the rows of a task are not there.
            DataError: a task's rows cannot be read, or a split has no row.
        """
        refused: list[str] = []
        parted = [self._parted(expand(name), refused) for name in _names_in(self.train)]
        held_out = {key_of(example) for _, taken in parted for example in taken}
        # What one task validates on may be among the training rows of another.
        pools = [[e for e in kept if key_of(e) not in held_out] for kept, _ in parted]
        splits = Splits(
            train=self._mixed(pools, self.train_rows),
            validation=self._mixed([taken for _, taken in parted], self.eval_rows),
            test=tuple(
                example for task in self.evaluated() for example in self._test(task, refused)
            ),
        )
        for name, examples in vars(splits).items():
            if not examples:
                raise DataError(
                    f"the {name} split is empty: the tasks {', '.join(_names_in(self.train))} "
                    "have too few rows; every split needs at least one; raise data.task_rows or "
                    "add rows"
                )
        return splits, tuple(refused)

    def trained(self) -> tuple[Task, ...]:
        """Returns the tasks that are trained on."""
        return tuple(task for name in _names_in(self.train) for task in expand(name))

    def evaluated(self) -> tuple[Task, ...]:
        """Returns the tasks that are tested on."""
        names = self.evaluate or _names_in(self.train)
        return tuple(task for name in names for task in expand(name))

    def test_examples(
        self, names: Sequence[str] = (), *, rows: int | None = None
    ) -> tuple[Example, ...]:
        """Returns test rows as :meth:`load` has them, also of tasks that are not tested on.

        Args:
            names: of tasks or mixtures; the evaluated ones where empty.
            rows: most rows of each task; all where None, whatever ``eval_rows`` is.

        Raises:
            MissingError: the rows of a task are not there.
            DataError: a task is unknown, has no test rows, or they cannot be read.
        """
        update = {"evaluate": tuple(names) or self.evaluate, "eval_rows": rows}
        asked = self.model_copy(update=update)
        refused: list[str] = []
        found = tuple(e for task in asked.evaluated() for e in asked._test(task, refused))
        if refused:
            logger.warning("left out %d bad rows; the first one: %s", len(refused), refused[0])
        return found

    def some_of(
        self, task: Task, split: Literal["train", "test"], *, rows: int
    ) -> tuple[Example, ...]:
        """Returns some rows of one task as they are trained on, or tested on.

        Args:
            task: one of the trained or the evaluated ones.
            split: ``train`` or ``test``.
            rows: how many, drawn with ``seed``; fewer where there are not so many.

        Raises:
            MissingError: the rows of the task are not there.
            DataError: they cannot be read.
        """
        return self._scored(task.load(split, self._root(), rows=rows, seed=self.seed).examples)

    def _root(self) -> Path | None:
        return None if self.root is None else data_path(self.root)

    def _parted(
        self, tasks: Sequence[Task], refused: list[str]
    ) -> tuple[list[Example], list[Example]]:
        """Returns what is trained and what is validated on, of one entry of the mixture."""
        kept, taken = list[Example](), list[Example]()
        for task in tasks:
            loaded = task.load("train", self._root(), rows=self.task_rows, seed=self.seed)
            refused += loaded.refused
            parts = split_off(
                self._scored(loaded.examples), self.validation_fraction, seed=self.seed
            )
            kept += parts[0]
            taken += parts[1]
        return kept, taken

    def _test(self, task: Task, refused: list[str]) -> tuple[Example, ...]:
        loaded = task.load("test", self._root(), rows=self.eval_rows, seed=self.seed)
        refused += loaded.refused
        return self._scored(loaded.examples)

    def _scored(self, examples: Sequence[Example]) -> tuple[Example, ...]:
        if self.scoring == "own":
            return tuple(examples)
        metrics = {"choice": ("choice",), "generate": ("exact",)}[self.scoring]
        return tuple(
            replace(e, metrics=metrics) if len(e.choices) > 1 and e.scoring != self.scoring else e
            for e in examples
        )

    def _mixed(self, pools: Sequence[Sequence[Example]], most: int | None) -> tuple[Example, ...]:
        """Returns the pools as one, each with its share of the rows."""
        if not isinstance(self.train, dict):
            return sample([example for pool in pools for example in pool], most, seed=self.seed)
        shares = [self.train[name] for name in _names_in(self.train)]
        counts = share_counts([len(pool) for pool in pools], shares, most)
        drawn = [sample(pool, n, seed=self.seed) for pool, n in zip(pools, counts, strict=True)]
        return tuple(example for pool in drawn for example in pool)


def _names_in(train: tuple[str, ...] | dict[str, float]) -> tuple[str, ...]:
    """Returns the names of a mixture; those of a mapping sorted, since its order says nothing."""
    return tuple(sorted(train)) if isinstance(train, dict) else train


def _check_names(value: object) -> None:
    """Raises ValueError where the names are not of tasks, each once."""
    if not isinstance(value, list | tuple | Mapping) or not value:
        raise ValueError(
            "give a list of tasks, [gsm8k, dolly], or of data.train a mapping to their shares, "
            f"{{gsm8k: 0.5, dolly: 0.5}}; known: {', '.join(sorted((*MIXTURES, *TASKS)))}"
        )
    known = {*MIXTURES, *TASKS}
    # Anything may stand in a list, also what has no hash.
    unknown = [name for name in value if not isinstance(name, str) or name not in known]
    if unknown:
        raise ValueError("; ".join(unknown_task(str(name)) for name in unknown))
    members = [task.name for name in value for task in expand(name)]
    twice = sorted({name for name in members if members.count(name) > 1})
    if twice:
        raise ValueError(
            f"{', '.join(twice)} would be used twice; name each task once, alone or in a mixture"
        )
