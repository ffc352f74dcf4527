"""A design as values: what is trained, with which seeds, and what each configuration answers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from sweeper.experiment.documents.tree import Document, Json
from sweeper.experiment.space.listed import DesignedTrial

__all__ = ["MOST_TRIALS", "Configuration", "DesignPlan", "Factor", "Question", "TunedGrid"]

MOST_TRIALS = 100_000
"""Trials that a sweep may have."""

Question = Literal["best", "tuned", "one_factor", "effects"]
"""What is asked: which configuration is the best; which method is better at its best learning rate;
what each change does to the baseline; what each factor does by itself and with another one."""

_NO_NAME = re.compile(r"[^A-Za-z0-9_]+")


@dataclass(frozen=True)
class Factor:
    """A field that is varied on purpose."""

    path: tuple[str, str]
    """Where it stands in a trial, for example ``("method", "group_size")``."""
    levels: tuple[Json, ...]
    """Its values, in the order of the file."""

    @property
    def name(self) -> str:
        """The field's bare name."""
        return self.path[-1]


@dataclass(frozen=True)
class TunedGrid:
    """The grid over which each method is tuned."""

    path: tuple[str, str]
    """The field that is tuned."""
    values: tuple[float, ...]
    """Its values, rising, evenly spaced in their logarithm."""


@dataclass(frozen=True)
class Configuration:
    """What is trained once with each seed: a trial without its seed."""

    name: str
    """Unlike those of the others of a design."""
    entry: Document
    """Its part of the file: ``method``, and in ``train`` what it has of its own."""
    method: str
    """Name of the method."""
    answers: str
    """What it is trained for, in a few words."""
    levels: Mapping[str, Json]
    """Value of each factor, by the factor's name; of a control arm none."""
    controls: str = ""
    """The method, or the configuration, that it is the control arm of; empty if it is none."""

    @property
    def train(self) -> Document:
        """The fields of training that it sets."""
        train = self.entry.get("train")
        return train if isinstance(train, dict) else {}


@dataclass(frozen=True)
class DesignPlan:
    """All that a design decides before anything starts."""

    kind: str
    """Tag of the design."""
    question: Question
    """What its trials answer."""
    configurations: tuple[Configuration, ...]
    """In the order in which they are declared."""
    seeds: tuple[int, ...]
    """Seeds that each configuration is trained with."""
    looks: tuple[int, ...]
    """After how many seeds conclusions may be drawn; a single one is after all of them."""
    delta: float | None
    """Smallest difference of interest, in units of the metric; None for the default."""
    control: Literal["added", "none"]
    """Whether control arms that are owed were added."""
    factors: tuple[Factor, ...] = ()
    """What is varied."""
    baseline: str | None = None
    """The configuration that the others are compared with; None where each is with each."""
    tuned: TunedGrid | None = None
    """What each method is tuned over; None where nothing is tuned."""

    def trials(self) -> Iterator[tuple[Document, DesignedTrial]]:
        """Yields each trial as an entry of ``trials``, and what the design says of it.

        All configurations with the first seed come first: whenever a sweep is stopped, its
        configurations have been trained with the same seeds, one more or less.
        """
        slugs = self._slugs()
        for seed in self.seeds:
            for found in self.configurations:
                entry: Document = {
                    **found.entry,
                    "name": f"{slugs[found.name]}-s{seed}",
                    "train": {**found.train, "seed": seed},
                }
                yield entry, DesignedTrial(found.name, seed, found.answers)

    def _slugs(self) -> dict[str, str]:
        """Returns for each configuration a text that can be a part of a trial's name."""
        slugs: dict[str, str] = {}
        for number, found in enumerate(self.configurations):
            slug = _NO_NAME.sub("-", found.name).strip("-_") or "c"
            while slug in slugs.values():
                slug = f"{slug}-{number}"
            slugs[found.name] = slug
        return slugs

    def warnings(self) -> tuple[str, ...]:
        """Returns what is allowed and costs claims, a sentence each."""
        found = []
        if len(self.seeds) == 1:
            found.append(
                "design.seeds is 1: with one seed nothing is said of configurations, only of the "
                "adapters that are trained; 2 seeds are the least, 3 are recommended and 5 for "
                "most tables; set design.seeds"
            )
        return tuple(found)

    def document(self) -> dict[str, object]:
        """Returns the plan as plain JSON."""
        return {
            "kind": self.kind,
            "question": self.question,
            "seeds": list(self.seeds),
            "looks": list(self.looks),
            "delta": self.delta,
            "control": self.control,
            "baseline": self.baseline,
            "factors": {".".join(x.path): list(x.levels) for x in self.factors},
            "tuned": None
            if self.tuned is None
            else {"field": ".".join(self.tuned.path), "values": list(self.tuned.values)},
            "configurations": [
                {
                    "name": x.name,
                    "method": x.method,
                    "levels": dict(x.levels),
                    "controls": x.controls or None,
                    "answers": x.answers,
                }
                for x in self.configurations
            ],
            "warnings": list(self.warnings()),
        }
