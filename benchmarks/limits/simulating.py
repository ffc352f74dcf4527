"""A sweep with a limit in virtual time: trials that vary, slow ones, crashes, resumes.

What is decided is decided by the sweeper: which trial may begin, when the sweep has to end, what a
run has used, what is charged for one that was killed. What is simulated is what the machine does:
how long trials really take, and when something dies.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

from sweeper.search import TimeKeeper, TrialTimes
from sweeper.tracking.owner import Limits, Meter, note_limits, usage_of

__all__ = ["Outcome", "Setting", "simulate"]

# Seconds of the real thing, at most: between two looks of the watch, where the pool is slow to
# answer; from one note of the usage to the next; and from the interrupt to the end of the process.
LOOK_S, NOTE_S, LEAVING_S = 6.0, 11.0, 5.0
# What a run takes before its first trial.
START_S = (10.0, 40.0)
EVALUATIONS = 4
DRIVER = "0123456789ab"


@dataclass(frozen=True)
class Setting:
    """What may go wrong in a sweep."""

    varies: float = 0.3
    """Trials take up to so much more or less than they should."""
    bias: tuple[float, float] = (0.8, 1.25)
    """Factor by which all take longer than forecast."""
    slow: float = 0.05
    """Share of trials that take three times as long."""
    replica_dies_per_hour: float = 0.5
    driver_dies_per_hour: float = 0.5


@dataclass(frozen=True)
class Outcome:
    """What became of a sweep."""

    limit_s: float
    used_s: float
    """In truth."""
    charged_s: float
    """By the files of the sweep."""
    trials: int
    ended: int
    cut: int
    """Begun, and interrupted for want of time."""
    runs: int


@dataclass
class _Trial:
    number: int
    forecast_s: float
    true_s: float
    done_s: float = 0.0
    saved_s: float = 0.0
    wall_s: float = 0.0
    is_ended: bool = False
    is_begun: bool = False

    @property
    def need_s(self) -> float:
        """Seconds that it still takes by the forecast, from its checkpoint."""
        return self.forecast_s * (1 - self.saved_s / self.true_s)

    def train(self, seconds: float) -> None:
        self.is_begun = True
        self.done_s += seconds
        self.wall_s += seconds
        each_s = self.true_s / EVALUATIONS
        self.saved_s = max(self.saved_s, each_s * (self.done_s // each_s))
        self.is_ended = self.done_s >= self.true_s

    def lose(self) -> None:
        """Goes back to its checkpoint."""
        self.done_s = self.saved_s


@dataclass
class _World:
    chance: random.Random
    setting: Setting
    folder: Path
    limits: Limits
    replicas: int
    trials: list[_Trial]
    final_s: float
    step_s: float
    used_s: float = 0.0
    runs: int = 0
    is_cut: bool = False
    now_s: float = 0.0
    unsaid_s: float = 0.0
    training: list[_Trial] = field(default_factory=list)
    waiting: list[_Trial] = field(default_factory=list)
    broken_s: list[float] = field(default_factory=list)

    def tick(self, seconds: float = 1.0) -> None:
        self.now_s += seconds
        self.used_s += seconds


def simulate(seed: int, folder: Path, setting: Setting) -> Outcome:
    """Returns what became of a sweep with a limit, resumed until nothing more can be begun.

    Args:
        seed: of all that is drawn.
        folder: empty; of the sweep's files.
        setting: what may go wrong.
    """
    world = _world(seed, folder, setting)
    limit_s = 3600 * (world.limits.max_hours or 0)
    while world.runs < 50:
        world.runs += 1
        if _run(world) or world.is_cut:
            break
        # The time in between does not count.
        world.now_s += world.chance.uniform(0, 36_000)
        if limit_s - usage_of(folder).seconds <= LEAVING_S:
            break
    return Outcome(
        limit_s=limit_s,
        used_s=world.used_s,
        charged_s=usage_of(folder).seconds,
        trials=len(world.trials),
        ended=sum(trial.is_ended for trial in world.trials),
        cut=sum(trial.is_begun and not trial.is_ended for trial in world.trials),
        runs=world.runs,
    )


def _world(seed: int, folder: Path, setting: Setting) -> _World:
    chance = random.Random(seed)
    replicas, number = chance.randint(1, 4), chance.randint(6, 40)
    bias, usual_s = chance.uniform(*setting.bias), chance.uniform(60, 900)
    trials = []
    for index in range(number):
        forecast_s = usual_s * chance.uniform(0.5, 2)
        true_s = forecast_s * bias * (1 + chance.uniform(-setting.varies, setting.varies))
        true_s *= 3 if chance.random() < setting.slow else 1
        trials.append(_Trial(index, forecast_s, true_s))
    whole_s = sum(trial.forecast_s for trial in trials) / replicas
    limits = Limits(max_hours=chance.uniform(0.3, 1.3) * whole_s / 3600)
    note_limits(folder, limits)
    return _World(
        chance,
        setting,
        folder,
        limits,
        replicas,
        trials,
        final_s=chance.uniform(0, 0.5) * usual_s,
        step_s=usual_s / 100,
    )


def _run(world: _World) -> bool:
    """Runs the sweep until its end; returns False where its driver was killed."""
    meter = Meter(world.folder, DRIVER, lambda: world.now_s)
    meter.note()
    world.unsaid_s = 0.0
    keeper = _keeper(world, meter)
    begin_s = world.now_s + world.chance.uniform(*START_S)
    world.waiting, world.training = [], []
    world.broken_s = [0.0] * world.replicas
    left = [trial for trial in world.trials if not trial.is_ended]
    # What was in training comes first.
    left.sort(key=lambda trial: (not trial.is_begun, trial.number))
    look_s = world.now_s + world.chance.uniform(0, LOOK_S)
    final_left_s = world.final_s * world.chance.uniform(0.7, 1.3)
    while True:
        if world.chance.random() < world.setting.driver_dies_per_hour / 3600:
            for trial in world.training:
                trial.lose()
            return False
        _note(world, meter)
        if world.now_s >= look_s:
            if keeper.is_over:
                _leave(world, meter)
                return True
            look_s = world.now_s + world.chance.uniform(1, LOOK_S)
        if world.now_s >= begin_s:
            _suggest(world, keeper, left)
            _train(world, keeper)
            if not (world.training or world.waiting):
                final_left_s -= 1
                if final_left_s <= 0:
                    _close(world, meter)
                    return True
        world.tick()


def _keeper(world: _World, meter: Meter) -> TimeKeeper:
    times = TrialTimes(doubt=1.3)
    for trial in world.trials:
        if trial.is_ended:
            times.take(forecast_s=trial.forecast_s, measured_s=trial.wall_s)

    def left_s() -> float:
        left = world.limits.left_s(meter.usage, per_hour=None)
        assert left is not None
        return left

    return TimeKeeper(
        left_s,
        times=times,
        replicas=world.replicas,
        final_s=world.final_s,
        closing_s=LOOK_S + 2 * world.step_s + LEAVING_S,
    )


def _note(world: _World, meter: Meter) -> None:
    world.unsaid_s += 1
    if world.unsaid_s >= world.chance.uniform(5, NOTE_S):
        meter.note()
        world.unsaid_s = 0.0


def _suggest(world: _World, keeper: TimeKeeper, left: list[_Trial]) -> None:
    """Asks for trials as Tune does: one more than there are replicas."""
    while left and len(world.training) + len(world.waiting) <= world.replicas:
        before = [*world.training, *world.waiting]
        need_s = [trial.need_s for trial in before]
        if not keeper.admits(str(left[0].number), left[0].need_s, before_s=need_s):
            return
        world.waiting.append(left.pop(0))


def _train(world: _World, keeper: TimeKeeper) -> None:
    """Trains for a second."""
    world.broken_s = [max(0.0, seconds - 1) for seconds in world.broken_s]
    free = world.broken_s.count(0.0) - len(world.training)
    while free > 0 and world.waiting:
        world.training.append(world.waiting.pop(0))
        free -= 1
    for trial in list(world.training):
        if world.chance.random() < world.setting.replica_dies_per_hour / 3600:
            trial.lose()
            world.training.remove(trial)
            world.waiting.insert(0, trial)
            world.broken_s[world.broken_s.index(0.0)] = 25.0
            continue
        trial.train(1.0)
        if trial.is_ended:
            world.training.remove(trial)
            keeper.times.take(forecast_s=trial.forecast_s, measured_s=trial.wall_s)


def _leave(world: _World, meter: Meter) -> None:
    """Interrupts the sweep: what trains gets some time to write a checkpoint, and no more."""
    world.is_cut = True
    world.tick(min(2 * world.step_s, world.chance.uniform(0, 6) * world.step_s))
    for trial in world.training:
        trial.saved_s = trial.done_s
    _close(world, meter)


def _close(world: _World, meter: Meter) -> None:
    world.tick(world.chance.uniform(1, LEAVING_S))
    meter.note(is_last=True)
