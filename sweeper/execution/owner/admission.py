"""The limits of a sweep while it runs: which trial may begin, and when the sweep has to end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sweeper._text import bytes_text
from sweeper.errors import BadInputError, Problem, SpecError
from sweeper.execution.owner.budget import (
    price_per_hour,
    refusal_of_more,
    sentence_of_limit,
    usage_in_all,
)
from sweeper.execution.pool import Job
from sweeper.experiment.sweep import Sweep
from sweeper.experiment.trial import TrialSpec
from sweeper.preflight.forecast import (
    STARTING_S,
    Costs,
    final_s,
    finalists_s,
    kept_costs,
    note_costs,
    peak_bytes,
)
from sweeper.search import TimeKeeper, TrialTimes, draw_all
from sweeper.tracking.owner import Limits, Meter, limits_of, note_limits
from sweeper.tracking.owner.revisions import changed_alone
from sweeper.tracking.stored import SweepStatus
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import TrialFolder

__all__ = ["Admission", "keep_limits", "require_trial_fits"]

# Seconds in which the driver notices that the sweep must end, while Ray is slow to answer, and in
# which it ends once the checkpoints are written.
_LEAVING_S = 12.0


def keep_limits(folder: Path, limits: Limits, costs: Costs | None) -> None:
    """Writes what a sweep may take, and what its trials cost; nothing where it has no limits.

    Args:
        folder: of the sweep.
        limits: all of them.
        costs: of its trials; None leaves those that there are.

    Raises:
        BadInputError: it cannot be written, or another process changes the sweep.
    """
    if limits == Limits():
        return
    with changed_alone(folder, command="limits"):
        if costs is not None:
            note_costs(folder, costs)
        note_limits(folder, limits)


def require_trial_fits(folder: SweepFolder, sweep: Sweep, limits: Limits, costs: Costs) -> None:
    """Looks whether a sweep that is to go on has time for a trial, before Ray starts for none.

    Args:
        folder: of the sweep.
        sweep: as it is to go on.
        limits: all of them, those that are new among them.
        costs: of its trials.

    Raises:
        BadInputError: by the forecast, and by the trials that have ended, none would end in time.
    """
    if not limits.has_time or folder.status == "complete":
        return
    lacking_s = Admission(folder, sweep).lacking_s(limits, costs)
    if lacking_s:
        raise BadInputError(
            refusal_of_more(folder, limits, sweep.spec.resources, lacking_s=lacking_s)
        )


@dataclass
class Admission:
    """Which trials of a sweep may begin; all of them where it has no limits."""

    folder: SweepFolder
    sweep: Sweep
    _keeper: TimeKeeper | None = None
    _costs: Costs | None = None
    _limits: Limits = field(default_factory=Limits)
    _meter: Meter | None = None
    _needs_s: dict[str, float] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)
    # Part of a trial after which it is compared; seconds kept free in which the best go on, and
    # how many of them could not.
    _share: float = 1.0
    _finalists_s: float = 0.0
    _refused: int = 0
    # Clones that could not begin.
    _refused_clones: int = 0

    def begin(self, meter: Meter, *, replicas: int) -> None:
        """Takes up the limits, once it is known how many replicas there are.

        Args:
            meter: of this run.
            replicas: that train at once.

        Raises:
            DamagedFileError: the limits cannot be read, or not what trials cost.
        """
        resources = self.sweep.spec.resources
        per_hour = price_per_hour(resources, replicas=replicas)
        meter.price(per_hour)
        self._limits = limits_of(self.folder.path)
        if not self._limits.has_time and self._limits.max_memory_bytes is None:
            return
        self._costs, self._meter = kept_costs(self.folder.path), meter
        if self._limits.has_time:
            self._keep_time(lambda: self._limits.left_s(meter.usage, per_hour=per_hour), replicas)

    def _keep_time(self, left_s: Callable[[], float | None], replicas: int) -> list[TrialSpec]:
        """Begins to keep the time that is left; returns trials of the sweep, all or examples."""
        assert self._costs is not None
        trials = [drawn.spec for drawn in draw_all(self.sweep)]
        each = [self._costs.of(trial) for trial in trials]
        times = TrialTimes(doubt=max(x.step_high_s / x.step_s for x in each))

        def known_s() -> float:
            left = left_s()
            return float("inf") if left is None else left

        evaluations = trials[0].train.evaluations
        self._share = self.sweep.spec.search.compared_at(evaluations) / evaluations
        self._finalists_s = finalists_s(self.sweep, self._costs, trials, replicas=replicas)
        self._keeper = TimeKeeper(
            known_s,
            times=times,
            replicas=replicas,
            final_s=final_s(self.sweep, self._costs, trials, replicas=replicas) + self._finalists_s,
            closing_s=_LEAVING_S + max(x.step_high_s + 2 * x.evaluation_s for x in each),
        )
        return trials

    def lacking_s(self, limits: Limits, costs: Costs) -> float:
        """Returns the seconds that limits lack for any trial, before Ray starts; 0 for none.

        What is not known yet is taken for the best: how many replicas there will be. Where all
        trials have ended, others than the search's own decide what is left to be done.

        Args:
            limits: all of them.
            costs: of the trials.
        """
        records = [x for x in self.folder.trials() if x.status != "superseded"]
        if sum(x.is_final for x in records) >= self.sweep.spec.search.trials:
            return 0.0
        resources, usage = self.sweep.spec.resources, usage_in_all(self.folder)
        left_s = limits.left_s(usage, per_hour=price_per_hour(resources, replicas=1))
        if left_s is None:
            return 0.0
        free_s = left_s - STARTING_S - costs.load_s
        self._costs = costs
        drawn = self._keep_time(lambda: free_s, resources.max_replicas)
        self._learn()
        needs_s = [self._need_s(x.id) for x in records if not x.is_final]
        needs_s += [self._share * costs.of(trial).trial_s for trial in drawn]
        assert self._keeper is not None
        return self._keeper.lacking_s(min(needs_s))

    def require_room(self, trial: TrialSpec, trial_id: str) -> None:
        """Looks whether a worker may take the memory of a trial that is to begin, by the forecast.

        When the sweep began all of its space was held against the limit; its owner may have changed
        the space since. A trial that has begun stays what it is.

        Args:
            trial: at a point that was drawn.
            trial_id: its identity.

        Raises:
            SpecError: it may not.
        """
        room = self._limits.max_memory_bytes
        if room is None or self._costs is None or self.folder.trial(trial_id).path.is_dir():
            return
        needed = peak_bytes(trial, self._costs)
        if needed > room:
            message = (
                f"a trial of {trial.method.label} needs about {bytes_text(needed)} of memory a "
                f"worker ({self._costs.of(trial).source}), but {bytes_text(room)} are allowed; "
                f"narrow what is drawn with 'resume {self.folder.name} --set …', or allow more"
            )
            raise SpecError("a point of the space", [Problem("--max-memory", message)])

    def admits(self, trial_id: str, before: Sequence[str]) -> bool:
        """Returns whether a trial may begin, whose folder is there.

        Args:
            trial_id: of the trial.
            before: of those that are in training, or wait for a replica, in their order.
        """
        if self._keeper is None:
            return True
        self._learn()
        need_s = self._need_s(trial_id)
        if need_s <= 0:
            return True
        return self._keeper.admits(trial_id, need_s, before_s=[*map(self._need_s, before)])

    def admits_clones(self, jobs: Sequence[Job]) -> list[Job]:
        """Returns those of the clones that may begin; nothing comes after them.

        Args:
            jobs: of the clones, in their order.
        """
        if self._keeper is None:
            return [*jobs]
        admitted = self._admitted(jobs, self._keeper)
        self._refused_clones = len(jobs) - len(admitted)
        return admitted

    def admits_finalists(self, jobs: Sequence[Job]) -> list[Job]:
        """Returns those of the best trials that may go on: the time kept free for them is theirs.

        Args:
            jobs: the rests of their trainings, the best trial first.
        """
        if self._keeper is None:
            return [*jobs]
        self._keeper.final_s -= self._finalists_s
        self._finalists_s = 0.0
        admitted = self._admitted(jobs, self._keeper)
        self._refused = len(jobs) - len(admitted)
        return admitted

    def _admitted(self, jobs: Sequence[Job], keeper: TimeKeeper) -> list[Job]:
        """Returns which of some trainings to their end may begin, each after those before it."""
        self._learn()
        # That the search was cut is true whoever goes on after it.
        refused = keeper.refused
        admitted: list[Job] = []
        needs_s: list[float] = []
        for job in jobs:
            need_s = self._left_s(TrialFolder(job.folder), share=1.0)
            if keeper.admits(job.trial_id, need_s, before_s=needs_s):
                admitted.append(job)
                needs_s.append(need_s)
            refused = refused or keeper.refused
        keeper.refused = refused
        return admitted

    def ending_s(self) -> float | None:
        """Returns the seconds for checkpoints where the sweep must end now; else None."""
        if self._keeper is None or not self._keeper.is_over:
            return None
        return self._keeper.closing_s - _LEAVING_S

    @property
    def has_refused(self) -> bool:
        """Whether a trial was not begun, for it would not have ended in time."""
        return self._keeper is not None and self._keeper.refused is not None

    def end(
        self, trials: int, otherwise: str, *, is_more_asked: bool = False
    ) -> tuple[SweepStatus, str]:
        """Returns how a sweep stands that has come to its end, or to that of its limits.

        Args:
            trials: that it was to have.
            otherwise: what there is to say where it is complete.
            is_more_asked: whether trials or clones are left, for which its owner asked too late.
        """
        is_cut = self.has_refused and self._left_of(trials) > 0
        if is_cut:
            return "stopped", self.note(trials)
        if is_more_asked:
            return "stopped", "Its owner asked for more while it came to its end."
        return "complete", otherwise

    def _left_of(self, trials: int) -> int:
        ended = [x for x in self.folder.trials() if x.is_final and x.status != "superseded"]
        return max(0, trials - len(ended)) + self._refused + self._refused_clones

    def note(self, trials: int) -> str:
        """Returns sentences on what was not begun, for whoever reads how the sweep stands.

        Args:
            trials: that the sweep was to have.
        """
        assert self._meter is not None
        left = self._left_of(trials)
        return sentence_of_limit(self.folder, self._limits, self._meter.usage, left=left)

    def _need_s(self, trial_id: str) -> float:
        """Returns the seconds that a trial still takes by the forecast; 0 where it has ended."""
        trial = self.folder.trial(trial_id)
        return 0.0 if trial.read().is_final else self._left_s(trial, share=self._share)

    def _left_s(self, trial: TrialFolder, *, share: float) -> float:
        """Returns the seconds that a trial still takes to a share of its steps."""
        record = trial.read()
        done = record.steps / record.steps_total if record.steps_total else 0.0
        return self._whole_s(trial) * max(0.0, share - done)

    def _whole_s(self, trial: TrialFolder) -> float:
        assert self._costs is not None
        if trial.id not in self._needs_s:
            self._needs_s[trial.id] = self._costs.of(trial.trial_spec()).trial_s
        return self._needs_s[trial.id]

    def _learn(self) -> None:
        """Takes the times of the trials that have ended since."""
        assert self._keeper is not None
        for record in self.folder.trials():
            # Of a trial without time in steps nobody has measured what it took.
            is_told = record.status in {"complete", "pruned"} and record.train_time_s > 0
            if record.id in self._taken or not is_told or not record.steps_total:
                continue
            self._taken.add(record.id)
            trial = self.folder.trial(record.id)
            if trial.taken_from() is not None:
                # Another sweep has trained it, on whatever machine.
                continue
            share = record.steps / record.steps_total
            self._keeper.times.take(
                forecast_s=share * self._whole_s(trial), measured_s=record.wall_time_s
            )
