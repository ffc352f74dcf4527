"""Trials of earlier sweeps as observations of a search: which agree, and how the study has them.

A trial agrees where it is one that this search could draw itself: the same model, data and version
of the program, its method and searched fields inside of this space, and all else the same but
``train.seed``. That is what a trial's identity is made of. It must have been trained to its end and
report the objective. What is taken is noted in the sweep's folder, so that the search goes on
without the sweeps that it is from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import ValidationError

from sweeper._files import write_json
from sweeper._text import shorten, value_text
from sweeper.errors import BadInputError, DamagedFileError
from sweeper.experiment.documents.tree import Json, Scalar
from sweeper.experiment.space.rates import is_auto
from sweeper.experiment.space.space import Axis, MethodSpace, Point, Space
from sweeper.experiment.sweep import SearchSpec, Sweep
from sweeper.experiment.trial import TrialSpec
from sweeper.search.driving.attributes import OBSERVED
from sweeper.tracking.stored import LeftOut, Observation, Observations, read_stored
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import TrialFolder

__all__ = [
    "OBSERVATIONS_FILE",
    "add_observations",
    "earlier_trials",
    "is_own",
    "noted_observations",
    "observed_in",
    "searched_values",
]

OBSERVATIONS_FILE = "observations.json"
"""Name of the file in a sweep's folder that has what was taken of earlier sweeps."""
# Fields of a trial that may differ: a search over one seed learns from another.
_MAY_DIFFER = {"train.seed"}
_RATE = "train.learning_rate"


def noted_observations(folder: SweepFolder, sweep: Sweep, *, data_fingerprint: str) -> Observations:
    """Returns what a sweep has taken of earlier ones; takes and notes it where it has not.

    Args:
        folder: the sweep's.
        sweep: what it runs.
        data_fingerprint: of its rows, and of a model at a path.

    Raises:
        BadInputError: an earlier sweep is not there.
        DamagedFileError: the note is damaged.
        OSError: it cannot be written.
    """
    if not sweep.spec.search.sources:
        return Observations()
    path = folder.path / OBSERVATIONS_FILE
    found = read_stored(path, Observations)
    if found is None:
        found = earlier_trials(sweep, folder.home, data_fingerprint=data_fingerprint)
        write_json(path, found.model_dump(mode="json"))
    return found


def earlier_trials(sweep: Sweep, home: Path, *, data_fingerprint: str) -> Observations:
    """Returns the trials of the sweeps of ``search.from`` that agree, and why others do not.

    Args:
        sweep: what is to run.
        home: folder of all sweeps.
        data_fingerprint: of its rows, and of a model at a path.

    Raises:
        BadInputError: there is no such sweep.
    """
    taken: dict[str, Observation] = {}
    left_out: Counter[tuple[str, str]] = Counter()
    # Its own sweeps first: a name that is wrong is told before anything is read.
    for folder in [_source(name, home) for name in sweep.spec.search.sources]:
        for trial in folder.trial_folders():
            found = _observed(trial, folder, sweep, data_fingerprint)
            if isinstance(found, Observation) and found.trial in taken:
                found = "is of another of these sweeps, too"
            if isinstance(found, Observation):
                taken[found.trial] = found
            else:
                left_out[folder.name, found] += 1
    whys = tuple(LeftOut(sweep=name, why=why, trials=n) for (name, why), n in left_out.items())
    return Observations(taken=tuple(taken.values()), left_out=whys)


def _source(name: str, home: Path) -> SweepFolder:
    try:
        return SweepFolder.open(name, home=home)
    except BadInputError as error:
        raise BadInputError(f"search.from: {str(error).removeprefix('sweep: ')}") from error


def _observed(
    trial: TrialFolder, folder: SweepFolder, sweep: Sweep, data_fingerprint: str
) -> Observation | str:
    """Returns a trial as an observation, or why it is none."""
    try:
        record, spec = trial.read(), trial.trial_spec()
        metric = sweep.spec.objective.metric
        values = tuple(metrics[metric] for _, metrics in trial.evaluations(metric))
    except DamagedFileError:
        return "cannot be read by this version"
    at = sweep.spec.search.compared_at(spec.train.evaluations)
    is_cut = record.status == "pruned" and at < spec.train.evaluations
    is_far_enough = is_cut and len(values) >= at
    if record.status != "complete" and not is_far_enough:
        return f"is {record.status}, not complete"
    if spec.identity(data_fingerprint=data_fingerprint) != trial.id:
        return "saw other rows or weights, or ran with another version of the program"
    if not values:
        return f"does not report {metric}"
    point = _point_of(spec, sweep.space)
    if isinstance(point, str):
        return point
    return Observation(
        sweep=folder.name,
        sweep_id=folder.about().sweep_id,
        trial=trial.id,
        point=point,
        values=values,
    )


def _point_of(spec: TrialSpec, space: Space) -> Point | str:
    """Returns the point of a space that a trial is, or why it is none."""
    method = next((x for x in space.methods if x.name == spec.method.label), None)
    if method is None:
        return f"is of {spec.method.label}, which is not searched here"
    point: Point = {"method": method.name}
    for axis in method.axes:
        value = _value_at(spec, axis)
        if not axis.distribution.contains(value):
            return f"has a {'.'.join(axis.path)} outside of this space"
        point[axis.name] = value
    return _difference(spec, space, method, point) or point


def _value_at(spec: TrialSpec, axis: Axis) -> Json:
    section, name = axis.path
    fields = spec.method.parameters() if section == "method" else dict(spec.train)
    value = fields.get(name)
    return list(value) if isinstance(value, tuple) else value  # type: ignore[return-value]


def _difference(spec: TrialSpec, space: Space, method: MethodSpace, point: Point) -> str:
    """Returns in what a trial differs from that of a space at its point; empty where it does not.

    A method's own point may be none, such as one that a budget sizes otherwise.
    """
    try:
        own = space.trial(point)
    except ValidationError:
        return f"is no trial of {method.name} here"
    here, there = (dict(_leaves(x.model_dump(mode="json"))) for x in (own, spec))
    if is_auto(method.tree) and here.get(_RATE) != there.get(_RATE):
        # Each size has its own: with the numbers it would be a reason for each trial.
        return f"has another {_RATE} than auto gives here"
    for name in sorted(here.keys() | there.keys()):
        if name not in _MAY_DIFFER and here.get(name) != there.get(name):
            return f"has {name} {_pair(there.get(name), here.get(name))}"
    return ""


def _pair(there: object, here: object) -> str:
    """Returns two values that differ, numbers as short as they are told apart."""
    texts = [shorten(repr(x), limit=40) for x in (there, here)]
    if isinstance(there, float) and isinstance(here, float):
        short = [value_text(x) for x in (there, here)]
        texts = texts if short[0] == short[1] else short
    return "{}, where this sweep has {}".format(*texts)


def _leaves(tree: object, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, tree


def searched_values(values: Sequence[float], space: Space, search: SearchSpec) -> Sequence[float]:
    """Returns the values of a whole trial that a search would have had of it, at least one.

    One that its patience ended before it is compared counts with its last value.

    Args:
        values: at its evaluations, in their order; at least one.
        space: that it is of.
        search: says at which evaluation trials are compared.
    """
    if search.stop != "share":
        return values
    return values[: search.compared_at(space.any_trial().train.evaluations)]


def is_own(trial: optuna.trial.FrozenTrial) -> bool:
    """Returns whether a trial of a study is one of its sweep, and no observation."""
    return OBSERVED not in trial.user_attrs


def observed_in(study: optuna.Study) -> int:
    """Returns how many trials of earlier sweeps a study begins with."""
    return sum(not is_own(trial) for trial in study.get_trials(deepcopy=False))


def add_observations(
    study: optuna.Study,
    space: Space,
    find: Callable[[], Sequence[Observation]],
    search: SearchSpec,
) -> None:
    """Adds observations to a study that has no trial of its own yet, those that it has not.

    Args:
        study: of the sweep; a driver may have died while it added some.
        space: that they are points of.
        find: returns what was taken, always in the same order; a study with trials of its own does
            not ask.
        search: says at which of its evaluations a trial is compared.
    """
    known = len(study.get_trials(deepcopy=False))
    if known != observed_in(study):
        return
    for observation in find()[known:]:
        point = _Given(space.labels(observation.point))
        space.suggest(point)
        values = searched_values(observation.values, space, search)
        study.add_trial(
            optuna.trial.create_trial(
                value=values[-1],
                params=point.params,
                distributions=point.distributions,
                user_attrs={OBSERVED: f"{observation.sweep}/{observation.trial}"},
                intermediate_values=dict(enumerate(values, start=1)),
            )
        )


@dataclass
class _Given:
    """Draws what is given, and notes what it would have been drawn from."""

    given: Mapping[str, Scalar | None]
    params: dict[str, Scalar | None] = field(default_factory=dict)
    distributions: dict[str, BaseDistribution] = field(default_factory=dict)

    def suggest_categorical(self, name: str, choices: list[Scalar | None]) -> Scalar | None:
        """Returns the value that is given."""
        return self._note(name, CategoricalDistribution(choices))

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        """Returns the number that is given."""
        return float(str(self._note(name, FloatDistribution(low, high, log=log))))

    def suggest_int(self, name: str, low: int, high: int, *, step: int) -> int:
        """Returns the whole number that is given."""
        return int(str(self._note(name, IntDistribution(low, high, step=step))))

    def _note(self, name: str, distribution: BaseDistribution) -> Scalar | None:
        self.params[name] = self.given[name]
        self.distributions[name] = distribution
        return self.given[name]
