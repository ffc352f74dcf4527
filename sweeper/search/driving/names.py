"""A study whose space was changed: what its parameters are called, and which trials still agree.

Optuna keeps one kind of distribution under a name for good: the same choices, or a range that is
logarithmic or is not. A field that is drawn from another kind gets another name in the study, and
keeps its own in the space. A range that only grew narrower or wider keeps its name; but TPE looks
no further than the oldest range, so that it is shown all trials as if drawn from the space as it is
now, and none that fall outside.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    check_distribution_compatibility,
)
from optuna.trial import FrozenTrial

from sweeper.experiment.documents.tree import Json, Scalar
from sweeper.experiment.space.space import Axis, Space

__all__ = ["NamedTrial", "Names", "field_of", "values_of"]

# Between a field's name and what tells its kinds of distribution apart.
_MARK = "~"
_METHOD = "method"


class Names:
    """The names that a study has for the fields of a space."""

    def __init__(self, study: optuna.Study, space: Space) -> None:
        """Looks at all trials once.

        Args:
            study: with trials of this space, or of what it was before.
            space: as it is now.
        """
        self._space = space
        self._first: dict[str, BaseDistribution] = {}
        axes = {axis.name: axis for method in space.methods for axis in method.axes}
        known = {name: _as_optuna(axis) for name, axis in axes.items()}
        seen: dict[int, tuple[str, BaseDistribution]] = {}
        for trial in study.get_trials(deepcopy=False):
            for name, distribution in trial.distributions.items():
                self._first.setdefault(name, distribution)
                # The same object thousands of times.
                seen.setdefault(id(distribution), (name, distribution))
        self._now = known
        self._axes = {method.name: method.axes for method in space.methods}
        self.is_revised = any(
            field_of(name) in known and known[field_of(name)] != distribution
            for name, distribution in seen.values()
        )
        """Whether trials were drawn from another space."""

    def of(self, name: str, distribution: BaseDistribution) -> str:
        """Returns what a field is called in the study that is drawn from a distribution now.

        Args:
            name: of the field in the space.
            distribution: as Optuna has it.
        """
        first = self._first.setdefault(name, distribution)
        return name if _agree(first, distribution) else f"{name}{_MARK}{_kind(distribution)}"

    def recast(self, trial: FrozenTrial) -> FrozenTrial | None:
        """Returns a trial as if drawn from the space as it is now; None where it falls outside.

        Args:
            trial: of the study.
        """
        point = values_of(trial.params, trial.distributions)
        method = str(point.get(_METHOD, self._space.methods[0].name))
        params: dict[str, Any] = {}
        distributions: dict[str, BaseDistribution] = {}
        if _METHOD in trial.params:
            params[_METHOD] = point[_METHOD]
            distributions[_METHOD] = trial.distributions[_METHOD]
        for axis in self._axes.get(method, ()):
            if axis.name not in point or not axis.distribution.contains(point[axis.name]):
                return None
            distribution = self._now[axis.name]
            name = self.of(axis.name, distribution)
            params[name] = axis.distribution.label(point[axis.name])
            distributions[name] = distribution
        found = copy.copy(trial)
        found.distributions = distributions
        found.params = params
        return found


@dataclass(frozen=True)
class NamedTrial:
    """A trial of Optuna's that is asked by the names of the space.

    A value that was enqueued is taken where the space still has it.
    """

    trial: optuna.Trial
    names: Names

    def suggest_categorical(self, name: str, choices: list[Scalar | None]) -> Scalar | None:
        """Returns one of ``choices``."""
        distribution = CategoricalDistribution(choices)
        own: Scalar | None = self.trial.suggest_categorical(
            self._asked(name, distribution, lambda x: x in choices), choices
        )
        return own

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        """Returns a number in [low, high]."""
        distribution = FloatDistribution(low, high, log=log)
        asked = self._asked(name, distribution, lambda x: _is_within(x, low, high))
        return self.trial.suggest_float(asked, low, high, log=log)

    def suggest_int(self, name: str, low: int, high: int, *, step: int) -> int:
        """Returns an integer in [low, high]."""
        distribution = IntDistribution(low, high, step=step)
        asked = self._asked(
            name, distribution, lambda x: _is_within(x, low, high) and (x - low) % step == 0
        )
        return self.trial.suggest_int(asked, low, high, step=step)

    def _asked(
        self, name: str, distribution: BaseDistribution, is_held: Callable[[Any], bool]
    ) -> str:
        """Returns the name to be asked for, with the enqueued value under it alone."""
        own = self.names.of(name, distribution)
        # Optuna has no public way to change what was enqueued.
        fixed: dict[str, Any] = self.trial._fixed_params
        given = [key for key in fixed if field_of(key) == name]
        if given:
            value = fixed[given[0]]
            kept = {key: x for key, x in fixed.items() if key not in given}
            self.trial._fixed_params = {**kept, own: value} if is_held(value) else kept
        return own


def values_of(
    params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]
) -> dict[str, Json]:
    """Returns the values that a trial of a study has, by the names of the space.

    Args:
        params: as the study has them.
        distributions: which they were drawn from, by the same names.
    """
    return {
        field_of(name): json.loads(value) if _is_labelled(distributions[name]) else value
        for name, value in params.items()
    }


def _is_labelled(distribution: BaseDistribution) -> bool:
    """Whether texts stand for the values, because some of these are lists or mappings."""
    choices = getattr(distribution, "choices", ())
    # Most choices are told apart from that by their first one.
    if not choices or not all(isinstance(choice, str) for choice in choices):
        return False
    try:
        return any(isinstance(json.loads(choice), list | dict) for choice in choices)
    except ValueError:
        return False


@functools.cache
def field_of(name: str) -> str:
    """Returns the name that the space has for what a study calls ``name``."""
    return name.partition(_MARK)[0]


def _is_within(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and low <= value <= high


def _agree(first: BaseDistribution, second: BaseDistribution) -> bool:
    try:
        check_distribution_compatibility(first, second)
    except ValueError:
        return False
    return True


def _kind(distribution: BaseDistribution) -> str:
    """Returns six digits that tell apart what cannot stand under one name."""
    about: Sequence[object] = (
        type(distribution).__name__,
        getattr(distribution, "log", None),
        getattr(distribution, "choices", None),
    )
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:6]


class _Recorder:
    """Notes what is asked for, and answers anything that is allowed."""

    def __init__(self) -> None:
        self.found: BaseDistribution | None = None

    def suggest_categorical(self, name: str, choices: list[Scalar | None]) -> Scalar | None:
        del name
        self.found = CategoricalDistribution(choices)
        return choices[0]

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        del name
        self.found = FloatDistribution(low, high, log=log)
        return low

    def suggest_int(self, name: str, low: int, high: int, *, step: int) -> int:
        del name
        self.found = IntDistribution(low, high, step=step)
        return low


def _as_optuna(axis: Axis) -> BaseDistribution:
    recorder = _Recorder()
    axis.distribution.suggest(recorder, axis.name)
    assert recorder.found is not None
    return recorder.found
