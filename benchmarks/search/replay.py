"""One search replayed on the table of learning curves: replicas in virtual time, no Ray.

The decisions are the sweep's own: which point comes next (``sweeper.search.Suggestions`` over an
Optuna study in memory) and how far trials are suggested ahead. What a trial would report is looked
up. A step takes one unit of time, a replica's change to another adapter some more; evaluations and
checkpoints take none.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import optuna

from benchmarks.curves.table import Cell, CurveTable
from benchmarks.search.rules import MakeRule, Rule
from sweeper.errors import Problem, SpecError
from sweeper.experiment.space.distributions import IntRange
from sweeper.experiment.space.space import RATE, Axis, MethodSpace, Point, Space
from sweeper.experiment.sweep import SearchSpec
from sweeper.search import Suggestion, Suggestions
from sweeper.search.driving.attributes import STANDARD_ERROR
from sweeper.search.driving.samplers import MakeSampler

__all__ = ["Course", "Pick", "Replay", "Setting", "space_of"]


@dataclass(frozen=True)
class Setting:
    """What all contestants have in common."""

    budget_steps: int
    """Optimiser steps that a search may spend, over all replicas."""
    swap_steps: float
    """Units of time that a replica's change to another adapter takes."""
    replicas: int = 2


@dataclass(frozen=True)
class Pick:
    """The configuration that a search would choose from a moment on."""

    steps: float
    """Steps spent until an adapter of it is trained to its end."""
    time: float
    """Virtual time until then."""
    cell: Cell
    loss: float
    """By which it was chosen: the mean over the validation rows at its end."""


@dataclass
class Course:
    """What came of one search."""

    picks: list[Pick] = field(default_factory=list)
    """In the order in which they were found."""
    steps: int = 0
    """Steps spent."""
    time: float = 0.0
    """Virtual time at the last of them."""
    trials: int = 0
    """Trials that were begun."""
    swaps: int = 0
    """Changes of a replica to another adapter."""
    lost: int = 0
    """Trials that were stopped because one other was better then."""
    lost_wrongly: int = 0
    """Those of them that would have been better than that one at their end."""

    def pick_at(self, steps: float) -> Pick | None:
        """Returns what is chosen where so many steps may be spent; None where nothing can be."""
        within = [pick for pick in self.picks if pick.steps <= steps]
        return within[-1] if within else None

    def pick_by(self, time: float) -> Pick | None:
        """Returns what is chosen at a moment; None where nothing can be."""
        within = [pick for pick in self.picks if pick.time <= time]
        return within[-1] if within else None


@dataclass
class _Trial:
    """A trial of a search."""

    number: int
    """Optuna's."""
    cell: Cell
    place: int
    """Its curve in the table."""
    done: int = 0
    """Evaluations."""
    is_told: bool = False
    """Whether the study has it as ended; a paused one is pruned there."""


def space_of(table: CurveTable, start_rates: Mapping[str, float]) -> Space:
    """Returns the space of a table's configurations.

    Size and rate are numbered, from 0: sizes and rates are evenly spaced in their logarithms, which
    is what a sampler then sees of them. What has one value is not searched.
    """
    lists = {"size": table.about.ranks, "rate": table.about.rates}
    axes = tuple(
        Axis(
            name,
            RATE if name == "rate" else (name,),
            IntRange.model_validate({"int": (0, len(values) - 1)}),
        )
        for name, values in lists.items()
        if len(values) > 1
    )
    methods = tuple(MethodSpace(name, {}, axes) for name in table.about.methods)
    return Space(methods, start_rates=start_rates)


class Replay:
    """A search on a table."""

    def __init__(
        self,
        table: CurveTable,
        setting: Setting,
        *,
        make_sampler: MakeSampler,
        make_rule: MakeRule,
        seed: int,
        start_rates: Mapping[str, float] | None = None,
        starts: Sequence[str] = (),
    ) -> None:
        """Begins a search.

        Args:
            table: of curves; the search sees those of one seed, ``seed`` modulo their number.
            setting: what contestants have in common.
            make_sampler: makes the sampler of each trial.
            make_rule: makes what decides on trials.
            seed: of the search.
            start_rates: the place of the rate that is expected of each method, where a search
                knows it.
            starts: methods that are tried first, in this order, as a sweep enqueues them.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._table, self._setting = table, setting
        self._seed = seed % len(table.about.seeds)
        self._rule: Rule = make_rule(len(table.about.evaluation_steps))
        self._study = optuna.create_study(direction="minimize")
        for method in starts:
            self._study.enqueue_trial({"method": method})
        # Its sampler is the contestant's; told is what the one of a sweep is that is told most.
        search = SearchSpec(seed=seed, sampler="gp", asha=None)
        self._ahead = search.prefetch
        self._suggestions = Suggestions(
            self._study,
            space=space_of(table, start_rates or {}),
            search=search,
            identify=self._identify,
            make_sampler=make_sampler,
        )
        self._cells = set(table.cells)
        self._trials: dict[int, _Trial] = {}
        self._waiting: deque[_Trial] = deque()
        self._on: dict[int, _Trial | None] = dict.fromkeys(range(setting.replicas))
        # Whose adapter a replica holds.
        self._held: dict[int, int] = {}
        self._events: list[tuple[float, int, int, int]] = []
        self._count = 0
        # Loss and number of the trials that have come to where they are compared.
        self._judged: list[tuple[float, int]] = []
        self.course = Course()

    def run(self) -> Course:
        """Returns what comes of it: it ends when its steps are spent or nothing is left to do."""
        self._assign(0.0)
        while self._events:
            time, _, replica, steps = heapq.heappop(self._events)
            if self.course.steps + steps > self._setting.budget_steps:
                break
            self.course.steps += steps
            self.course.time = time
            trial = self._on[replica]
            assert trial is not None
            if self._goes_on(trial):
                self._begin(replica, trial, time)
            else:
                self._on[replica] = None
                self._assign(time)
        self._count_lost()
        return self.course

    def _count_lost(self) -> None:
        """Looks up what would have become of the trials that were stopped."""
        lost = self._rule.lost
        self.course.lost = len(lost)
        self.course.lost_wrongly = sum(
            self._final(number) < self._final(better) for number, better in lost.items()
        )

    def _identify(self, point: Point) -> str:
        cell = self._cell(point)
        if cell not in self._cells:
            raise SpecError("table", [Problem("", f"no curve of {self._table.name(cell)}")])
        return "-".join(map(str, cell))

    def _cell(self, point: Point) -> Cell:
        method = self._table.about.methods.index(str(point["method"]))
        size, rate = (int(str(point.get(name, 0))) for name in ("size", "rate"))
        return method, size, rate

    def _assign(self, time: float) -> None:
        """Gives each replica that is free a trial: a paused one that goes on, or a new one."""
        self._suggest()
        for replica in [number for number, trial in self._on.items() if trial is None]:
            resumed = self._rule.resumed()
            if resumed is not None:
                trial = self._trials[resumed]
            elif self._waiting:
                trial = self._waiting.popleft()
            else:
                continue
            self._on[replica] = trial
            if self._held.get(replica) != trial.number:
                self._held[replica] = trial.number
                self.course.swaps += 1
                self._begin(replica, trial, time + self._setting.swap_steps)
            else:
                self._begin(replica, trial, time)
            self._suggest()

    def _suggest(self) -> None:
        """Asks for trials as far ahead as a sweep does."""
        most = self._setting.replicas + self._ahead
        while sum(trial is not None for trial in self._on.values()) + len(self._waiting) < most:
            found = self._suggestions.next()
            if found is None:
                return
            self._waiting.append(self._trial_of(found))

    def _trial_of(self, found: Suggestion) -> _Trial:
        cell = self._cell(found.point)
        trial = _Trial(found.number, cell, self._table.trials[cell, self._seed])
        self._trials[trial.number] = trial
        self.course.trials += 1
        return trial

    def _begin(self, replica: int, trial: _Trial, time: float) -> None:
        """Lets a trial run to its next evaluation, or to where it diverges."""
        ends: Sequence[int] = self._table.about.evaluation_steps
        begun = ends[trial.done - 1] if trial.done else 0
        # Where it has diverged before the evaluation, its steps end there.
        steps = min(ends[trial.done], int(self._table.steps[trial.place])) - begun
        self._count += 1
        heapq.heappush(self._events, (time + steps, self._count, replica, steps))

    def _goes_on(self, trial: _Trial) -> bool:
        """Tells study and rule of a trial's next evaluation; returns whether it runs on."""
        place, evaluation = trial.place, trial.done + 1
        value = float(self._table.losses[place, evaluation - 1])
        if math.isnan(value):
            if not trial.is_told:
                self._suggestions.fail(trial.number)
            return False
        trial.done = evaluation
        is_last = evaluation == len(self._table.about.evaluation_steps)
        if not trial.is_told:
            self._suggestions.report(trial.number, evaluation=evaluation, value=value)
        rows = self._table.validation[place, evaluation - 1].astype(float)
        action = self._rule.after(trial.number, evaluation=evaluation, value=value, rows=rows)
        if evaluation == self._rule.judged_at:
            self._judge(trial, value)
        if is_last or action == "enough":
            self._tell_whole(trial, value)
            return False
        if action == "on":
            return True
        if not trial.is_told:
            self._suggestions.end(
                trial.number, evaluation=evaluation, value=value, is_complete=False
            )
            trial.is_told = True
        return False

    def _tell_whole(self, trial: _Trial, value: float) -> None:
        """Tells the study the value of a trial that counts as whole."""
        error = float(self._table.standard_errors[trial.place, trial.done - 1])
        if trial.is_told:
            # An ended trial of Optuna's cannot be changed: what was paused is there a second time.
            begun = self._study.get_trials(deepcopy=False)[trial.number]
            self._study.add_trial(
                optuna.trial.create_trial(
                    params=begun.params,
                    distributions=begun.distributions,
                    value=value,
                    user_attrs={STANDARD_ERROR: error},
                )
            )
            return
        self._suggestions.end(
            trial.number,
            evaluation=trial.done,
            value=value,
            is_complete=True,
            standard_error=error,
        )

    def _judge(self, trial: _Trial, value: float) -> None:
        """Notes what would be chosen from now on, where a trial is one of the best so far."""
        self._judged.append((value, trial.number))
        few = sorted(self._judged)[: self._rule.finalists]
        if (value, trial.number) not in few:
            return
        ends = self._table.about.evaluation_steps
        rest = ends[-1] - ends[trial.done - 1]
        finals = [(self._final(number), number) for _, number in few]
        loss, best = min(finals)
        if math.isinf(loss):
            return
        # The finalists are trained side by side, a replica each, as far as there are replicas.
        turns = math.ceil(len(few) / self._setting.replicas) if rest else 0
        time = self.course.time + turns * (rest + self._setting.swap_steps)
        steps = self.course.steps + rest * len(few)
        self.course.picks.append(Pick(steps, time, self._trials[best].cell, loss))

    def _final(self, number: int) -> float:
        """Returns the loss of a trial at its end; infinite where it diverges."""
        found = float(self._table.losses[self._trials[number].place, -1])
        return math.inf if math.isnan(found) else found
