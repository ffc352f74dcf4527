"""What a sweep would run: trials, parameters, memory, resources. Nothing is started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from sweeper._environment import calibration_s
from sweeper.analysis.detection import Detection, Forecast, detection_of, forecast_of
from sweeper.analysis.finished import find_finished, source_of
from sweeper.errors import BadInputError, MissingError
from sweeper.experiment.confirm import controlled_methods
from sweeper.experiment.documents.tree import get_path
from sweeper.experiment.space.budget import BudgetFit
from sweeper.experiment.space.rates import Expected, is_auto
from sweeper.experiment.space.scales import SharedScale, shared_scale
from sweeper.experiment.space.starts import starts_of
from sweeper.experiment.sweep import Sweep
from sweeper.experiment.trial import TrainSpec, TrialSpec
from sweeper.preflight.forecast import Costs, SweepForecast, admit, forecast_sweep, known_costs
from sweeper.preflight.model import Memory, memory_of
from sweeper.preflight.objective import require_objective
from sweeper.search import DrawnTrial, Origin, count_trials, draw_all, earlier_trials, params_of
from sweeper.tracking.owner import Limits
from sweeper.tracking.stored import Observations
from sweeper.training.schedule import evaluation_steps

__all__ = [
    "Plan",
    "PlannedEpochs",
    "PlannedPatience",
    "PlannedRate",
    "PlannedTrial",
    "finished_trials",
    "plan_of",
]


@dataclass(frozen=True)
class PlannedTrial:
    """One trial of a plan."""

    id: str
    number: int
    origin: Origin
    is_example: bool
    """As in :class:`DrawnTrial`."""
    method: str
    params: dict[str, Any]
    """The method's fields, and the searched fields of training."""
    trainable: int
    """Trainable parameters."""
    percent: float
    """100 * trainable / (base + trainable), as the papers count."""
    fit: BudgetFit | None
    """How the trial fits the budget; None without a budget."""
    configuration: str | None
    """The configuration of a design that it is of; None where there is no design."""
    taken_from: str | None
    """The sweep that has finished the same trial, whose results are taken over; None without."""

    def document(self) -> dict[str, Any]:
        """Returns the trial as plain JSON."""
        document = {
            "id": self.id,
            "number": self.number,
            "origin": self.origin,
            "is_example": self.is_example,
            "method": self.method,
            "params": self.params,
            "trainable": self.trainable,
            "percent": self.percent,
            "budget": None,
            "configuration": self.configuration,
            "taken_from": self.taken_from,
        }
        if self.fit is not None:
            document["budget"] = {
                "parameters": self.fit.parameters,
                "size": dict(self.fit.sizes),
                "miss": self.fit.miss,
                "miss_percent": self.fit.miss_percent,
                "alpha_per_rank": self.fit.scale,
            }
        return document


@dataclass(frozen=True)
class PlannedEpochs:
    """What epochs come to, in steps."""

    rows: int
    """Rows of one epoch."""
    fewest_steps: int
    """Of the shortest trial."""
    most_steps: int
    """Of the longest one."""


@dataclass(frozen=True)
class PlannedPatience:
    """When trials may end before all of their steps."""

    trials: int
    """How many of the trials shown may."""
    earliest_step: int
    """After which a trial ends at the earliest."""
    most_steps: int
    """Of the longest one."""


@dataclass(frozen=True)
class PlannedRate:
    """The learning rate that a method gets, or starts with, because it is expected to be best."""

    method: str
    """Its name."""
    low: float
    """The lowest one, of the trials shown."""
    high: float
    """The highest one: trials differ by their sizes."""
    is_start: bool
    """Whether the rate is searched and this is where the search starts."""
    between: tuple[float, float]
    """Where the best rate lies in two of three cases, of the first of the trials."""
    why: str
    """What the rate of the first one is made of."""

    @classmethod
    def of(cls, name: str, rates: Sequence[float], expected: Expected, *, is_start: bool) -> Self:
        """Returns the rates of a method, of whose first trial ``expected`` is."""
        return cls(
            name, min(rates), max(rates), is_start, between=expected.interval, why=expected.why
        )


@dataclass(frozen=True)
class Plan:
    """A sweep before it starts."""

    sweep: Sweep
    trials: tuple[PlannedTrial, ...]
    """All of them, or the first ones of a long search."""
    memory: Memory
    missing: tuple[str, ...]
    """What is missing of the model and the data, a sentence each."""
    detection: Detection | None = None
    """Which difference a design finds; None of a search, or where the spread is not known."""
    forecast: Forecast | None = None
    """How long the trials take; None where nothing like them was trained."""
    epochs: PlannedEpochs | None = None
    """What the epochs of the file come to; None where it has steps."""
    patience: PlannedPatience | None = None
    """When trials may end by themselves; None where none may."""
    scale: SharedScale | None = None
    """Whether the methods have one alpha / rank; None where none has one."""
    rates: tuple[PlannedRate, ...] = ()
    """The rates that are expected to be best, of methods that get them or start with them."""
    earlier: Observations = field(default_factory=Observations)
    """What the search takes of earlier sweeps."""
    costs: SweepForecast | None = None
    """What the sweep will cost; None where nothing is known of its GPU."""

    def document(self) -> dict[str, Any]:
        """Returns the plan as one JSON document."""
        spec, budget = self.sweep.spec, self.sweep.space.budget
        return {
            "space": spec.name,
            "profile": spec.profile,
            "objective": spec.objective.model_dump(mode="json"),
            "search": spec.search.model_dump(mode="json", exclude={"confirm"}, by_alias=True),
            "earlier": self.earlier.model_dump(mode="json"),
            "confirmation": self._confirmation(),
            "resources": spec.resources.model_dump(mode="json"),
            "memory": {
                "weights_bytes": self.memory.weights_bytes,
                "trained_state_bytes": self.memory.trained_state_bytes,
                "activations_estimate_bytes": self.memory.activations_bytes,
            },
            "missing": list(self.missing),
            "budget": None if budget is None else budget.model_dump(mode="json"),
            "design": None if self.sweep.design is None else self.sweep.design.document(),
            "detection": None if self.detection is None else asdict(self.detection),
            "forecast": None if self.forecast is None else asdict(self.forecast),
            "costs": None if self.costs is None else self.costs.document(),
            "epochs": None if self.epochs is None else asdict(self.epochs),
            "patience": None if self.patience is None else asdict(self.patience),
            "scale": None if self.scale is None else asdict(self.scale),
            "rates": [asdict(rate) for rate in self.rates],
            "trials": [trial.document() for trial in self.trials],
        }

    def _confirmation(self) -> dict[str, Any] | None:
        """Returns what follows on the search: how many trials, at most with the control arms."""
        confirm = self.sweep.spec.search.confirm
        if confirm is None:
            return None
        configurations = min(confirm.top, self.sweep.spec.search.trials)
        controlled: tuple[str, ...] = ()
        if confirm.control == "added":
            controlled = controlled_methods(self.sweep.space)
        return {
            **confirm.model_dump(mode="json"),
            "trials": configurations * confirm.seeds,
            "controlled": list(controlled),
        }


def plan_of(
    sweep: Sweep,
    *,
    home: Path | None = None,
    address: str | None = None,
    within_s: float | None = None,
) -> Plan:
    """Returns the plan of a sweep; that model or data is missing is part of it, not an error.

    Args:
        sweep: what would run; where its micro-batch is open, the largest that fits is taken.
        home: folder of all sweeps, in which trials may be finished already; None looks nowhere.
        address: the cluster it shall run on; None for this machine.
        within_s: seconds in which costs may be measured; the environment's where None, and at 0
            they are taken from what was measured before, or computed.

    Raises:
        BadInputError: the evaluations during training do not report the objective, an earlier
            sweep is not there, or an open micro-batch cannot be chosen.
    """
    fingerprint, missing = _found(sweep)
    within_s = calibration_s() if within_s is None else within_s
    hashed = None if missing else fingerprint
    sweep = admit(sweep, Limits(), fingerprint=hashed, address=address, within_s=within_s).sweep
    earlier = Observations()
    if home is not None and not missing:
        earlier = earlier_trials(sweep, home, data_fingerprint=fingerprint)
    drawn = draw_all(sweep, observed=len(earlier.taken))
    ids = [trial.spec.identity(data_fingerprint=fingerprint) for trial in drawn]
    known = _finished(sweep, drawn, ids, home=None if missing else home)
    trials = tuple(
        _planned(sweep, trial, trial_id, taken_from=known.get(trial_id))
        for trial, trial_id in zip(drawn, ids, strict=True)
    )
    specs = [trial.spec for trial in drawn]
    largest = max(trial.trainable for trial in trials)
    widest = max(specs, key=lambda x: x.model.shape().total_parameters)
    plan = Plan(
        sweep,
        trials,
        memory_of(widest, largest),
        missing,
        epochs=_epochs(sweep, [spec.train.steps for spec in specs]),
        patience=_patience([spec.train for spec in specs]),
        scale=shared_scale([(spec.method.label, spec.method) for spec in specs]),
        rates=_rates(sweep, drawn),
        earlier=earlier,
    )
    taken = sum(trial.taken_from is not None for trial in trials)
    costs = known_costs(sweep, specs, fingerprint=hashed, within_s=within_s)
    plan = replace(plan, costs=_forecast(sweep, specs, costs, taken=taken, address=address))
    if missing:
        return plan
    return replace(
        plan,
        detection=detection_of(sweep, home=home, rows=_final_rows(sweep)),
        forecast=forecast_of(sweep, home=home, trials=len(trials) - taken),
    )


def _forecast(
    sweep: Sweep,
    trials: Sequence[TrialSpec],
    costs: Costs | None,
    *,
    taken: int,
    address: str | None,
) -> SweepForecast | None:
    if costs is None:
        return None
    left = max(0, count_trials(sweep) - taken)
    return forecast_sweep(sweep, trials, costs, left=left, address=address)


def _found(sweep: Sweep) -> tuple[str, tuple[str, ...]]:
    """Returns the fingerprint of what trials are trained on, and what of that is missing.

    Raises:
        BadInputError: the evaluations during training do not report the objective.
    """
    missing = []
    for part in (sweep.spec.model, sweep.spec.data):
        try:
            part.require_available()
        except BadInputError as error:
            missing.append(str(error))
    if missing:
        return "", tuple(missing)
    try:
        fingerprint = sweep.spec.fingerprint(sweep.spec.data.fingerprint())
    except BadInputError as error:
        return "", (str(error),)
    try:
        require_objective(sweep)
    except MissingError as error:
        # Whether the Hub can be reached is known when it is asked for rows.
        return "", (str(error),)
    return fingerprint, ()


def _epochs(sweep: Sweep, steps: Sequence[int]) -> PlannedEpochs | None:
    rows = get_path(sweep.document, ("train", "epoch_rows"))
    return PlannedEpochs(rows, min(steps), max(steps)) if isinstance(rows, int) else None


def _patience(trains: Sequence[TrainSpec]) -> PlannedPatience | None:
    patient = [train for train in trains if train.patience]
    if not patient:
        return None
    earliest = min(evaluation_steps(train)[train.patience] for train in patient)
    return PlannedPatience(len(patient), earliest, max(train.steps for train in patient))


def _rates(sweep: Sweep, drawn: Sequence[DrawnTrial]) -> tuple[PlannedRate, ...]:
    """Returns the rates that the prior gives, a method each, in the order of the trials."""
    found = [
        PlannedRate.of(name, [start.rate], start.expected, is_start=True)
        for name, start in starts_of(sweep.space).items()
    ]
    own: dict[str, list[TrialSpec]] = {}
    for trial in drawn:
        if is_auto(trial.space.tree):
            own.setdefault(trial.spec.method.label, []).append(trial.spec)
    for name, specs in own.items():
        expected = sweep.space.prior.expected(specs[0].method, specs[0].model.shape())
        rates = [spec.train.learning_rate for spec in specs]
        found.append(PlannedRate.of(name, rates, expected, is_start=False))
    return tuple(found)


def _final_rows(sweep: Sweep) -> int:
    """Returns on how many rows the trials of a design are compared."""
    if sweep.design is None:
        return 0
    rows = len(getattr(sweep.spec.data.load(), sweep.spec.final.split))
    return rows if sweep.spec.final.rows is None else min(rows, sweep.spec.final.rows)


def finished_trials(sweep: Sweep, home: Path, *, data_fingerprint: str) -> dict[str, str]:
    """Returns which trials of a sweep are finished already: by identity, the sweep that did it.

    They are those that are certain to be drawn; a search may come upon more.

    Args:
        sweep: what is to run.
        home: folder of all sweeps.
        data_fingerprint: of the rows, and of a model at a path.
    """
    drawn = draw_all(sweep)
    ids = [trial.spec.identity(data_fingerprint=data_fingerprint) for trial in drawn]
    return _finished(sweep, drawn, ids, home=home)


def _finished(
    sweep: Sweep, drawn: Sequence[DrawnTrial], ids: Sequence[str], *, home: Path | None
) -> dict[str, str]:
    if home is None or sweep.spec.fresh:
        return {}
    certain = [x for x, trial in zip(ids, drawn, strict=True) if not trial.is_example]
    return {x: source_of(trial) for x, trial in find_finished(home, certain).items()}


def _planned(
    sweep: Sweep, drawn: DrawnTrial, trial_id: str, *, taken_from: str | None
) -> PlannedTrial:
    spec, budget = drawn.spec, sweep.space.budget
    shape = spec.model.shape()
    trainable = spec.model.trainable(spec.method)
    return PlannedTrial(
        id=trial_id,
        number=drawn.number,
        origin=drawn.origin,
        is_example=drawn.is_example,
        method=spec.method.label,
        params=params_of(spec, drawn.space),
        trainable=trainable,
        percent=100 * trainable / (shape.total_parameters + trainable),
        fit=None if budget is None else BudgetFit.of(budget, spec.method, shape),
        configuration=None if drawn.space.designed is None else drawn.space.designed.configuration,
        taken_from=taken_from,
    )
