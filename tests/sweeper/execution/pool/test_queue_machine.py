"""The queue of trials under submissions, reports, stops, deaths and resumes in any order."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sweeper.execution.pool.jobs import Job
from sweeper.execution.pool.queue import Message, TrialQueue
from sweeper.tracking.record import Course
from tests.sweeper.execution.pool.driving import job, settle

T = TypeVar("T")

TRIALS = st.sampled_from(["a", "b", "c", "d"])
REPLICAS = st.sampled_from([0, 1])
MAX_DEATHS = 2
LAST_STEP = 20


@dataclass
class Thin:
    """The Tune trials of one identity as the test knows them: one, or by a fault two."""

    waiting: list[asyncio.Task[Message]] = field(default_factory=list)
    heard: list[Message] = field(default_factory=list)
    is_stopped: bool = False


@dataclass
class Replica:
    """A replica as the test knows it: its trial, and the report that waits for a verdict."""

    trial: str | None = None
    step: int = 0
    report: asyncio.Task[Course] | None = None


class QueueMachine(RuleBasedStateMachine):
    """Drives the queue as thin trials, replicas and the driver do, each rule until all wait."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.queue = TrialQueue(max_deaths=MAX_DEATHS)
        self.thin: dict[str, Thin] = {}
        self.replicas = {0: Replica(), 1: Replica()}
        self.records: dict[str, str] = {}
        """How each trial ended on disk; what is here is not submitted again."""

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        async def scenario() -> T:
            result = await asyncio.wait_for(coroutine, timeout=5)
            await settle()
            return result

        return self.loop.run_until_complete(scenario())

    def start(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = self.loop.create_task(coroutine)
        self.loop.run_until_complete(settle())
        return task

    def hear(self) -> None:
        """Lets each thin trial take the message that it has waited for."""
        for name, thin in self.thin.items():
            answered = [task for task in thin.waiting if task.done()]
            thin.waiting = [task for task in thin.waiting if not task.done()]
            for message in (task.result() for task in answered):
                thin.heard.append(message)
                if message.kind == "end":
                    assert self.records.setdefault(name, message.status) == message.status

    def has_ended(self, name: str) -> bool:
        heard = self.thin[name].heard
        return bool(heard) and heard[-1].kind == "end"

    # What thin trials do.

    @rule(name=TRIALS)
    def submit(self, name: str) -> None:
        if name in self.records or name in self.thin:
            return
        self.thin[name] = Thin()
        self.wait(self.queue.submit(job(name)))

    @rule(name=TRIALS)
    def submit_once_more(self, name: str) -> None:
        thin = self.thin.get(name)
        is_done = thin is None or thin.is_stopped or self.has_ended(name)
        if not is_done and name not in self.records:
            self.wait(self.queue.submit(job(name)))

    @rule(name=TRIALS)
    def ask(self, name: str) -> None:
        thin = self.thin.get(name)
        if thin is None or len(thin.waiting) == 2 or thin.is_stopped or self.has_ended(name):
            return
        thin.waiting.append(self.start(self.queue.next_message(name)))
        self.hear()

    @rule(name=TRIALS)
    def stop(self, name: str) -> None:
        thin = self.thin.get(name)
        if thin is None or thin.is_stopped or thin.waiting or self.has_ended(name):
            return
        # Tune stops a trial where it has heard of an evaluation, and not while a replica trains on.
        reporting = {x.trial for x in self.replicas.values() if x.report is not None}
        if name not in reporting:
            return
        thin.is_stopped = True
        self.wait(self.queue.stop(name))
        self.take_verdicts()

    # What replicas do.

    @rule(index=REPLICAS)
    def take(self, index: int) -> None:
        replica = self.replicas[index]
        if replica.trial is not None:
            return
        # A wait for what is not there would end by the clock, and not twice alike.
        if not self.queue._has_word():
            return
        taken = self.wait(self.queue.take(index, timeout_s=5))
        if not isinstance(taken, Job):
            return
        assert taken.trial_id not in self.records, "a trial that ended is trained again"
        assert all(other.trial != taken.trial_id for other in self.replicas.values())
        self.replicas[index] = Replica(taken.trial_id)

    @rule(index=REPLICAS)
    def report(self, index: int) -> None:
        replica = self.replicas[index]
        if replica.trial is None or replica.report or replica.step >= LAST_STEP:
            return
        replica.step += 10
        waiting = self.queue.await_verdict(replica.trial, replica.step, {"eval_loss": 1.0})
        replica.report = self.start(waiting)
        self.hear()
        self.take_verdicts()

    def take_verdicts(self) -> None:
        for replica in self.replicas.values():
            if replica.report is None or not replica.report.done():
                continue
            course = replica.report.result()
            replica.report = None
            assert replica.trial is not None
            self.follow(replica, course)

    def follow(self, replica: Replica, course: Course) -> None:
        if course in {"prune", "stop"}:
            self.end(replica, "pruned" if course == "prune" else "stopped")
        if course == "pause":
            assert replica.trial is not None
            self.wait(self.queue.put_off(replica.trial))
            replica.trial, replica.step = None, 0

    @rule(index=REPLICAS)
    def step(self, index: int) -> None:
        replica = self.replicas[index]
        if replica.trial is not None and replica.report is None:
            self.follow(replica, self.wait(self.queue.course(replica.trial)))

    @rule(index=REPLICAS)
    def complete(self, index: int) -> None:
        replica = self.replicas[index]
        if replica.trial is not None and replica.report is None and replica.step == LAST_STEP:
            self.end(replica, "complete")

    @rule(index=REPLICAS)
    def fail(self, index: int) -> None:
        replica = self.replicas[index]
        if replica.trial is not None and replica.report is None:
            self.end(replica, "failed")

    def end(self, replica: Replica, status: str) -> None:
        assert replica.trial is not None
        name, replica.trial, replica.step = replica.trial, None, 0
        assert name not in self.records, "a trial ends twice"
        self.records[name] = status
        metrics = {} if status == "failed" else {"eval_loss": 1.0}
        self.wait(self.queue.done(name, status, metrics=metrics, error="why"))
        self.hear()

    # What the owner asks.

    @rule(name=TRIALS)
    def drop(self, name: str) -> None:
        self.wait(self.queue.drop(name))
        self.hear()
        self.take_verdicts()

    @rule()
    def pause_and_resume(self) -> None:
        self.wait(self.queue.pause())
        self.take_verdicts()
        for index in self.replicas:
            self.step(index)
            self.take(index)
            assert self.replicas[index].trial is None or self.replicas[index].report
        assert self.queue.training == 0
        self.resume()

    # What becomes of replicas and drivers.

    @rule(index=REPLICAS)
    def die(self, index: int) -> None:
        replica = self.replicas[index]
        self.wait(self.queue.give_back(index))
        if replica.report is not None:
            assert replica.report.done(), "a dead replica's call is never answered"
        self.replicas[index] = Replica()
        self.hear()

    @precondition(lambda self: self.thin)
    @rule()
    def resume(self) -> None:
        """A new driver: what has a record stays, what has none is submitted again."""
        for thin in self.thin.values():
            for task in thin.waiting:
                task.cancel()
        for replica in self.replicas.values():
            if replica.report is not None:
                replica.report.cancel()
        self.loop.run_until_complete(settle())
        unended = [name for name in self.thin if name not in self.records]
        self.queue = TrialQueue(max_deaths=MAX_DEATHS)
        self.replicas = {0: Replica(), 1: Replica()}
        self.thin = {}
        for name in unended:
            self.submit(name)

    @precondition(lambda self: self.thin)
    @rule()
    def give_up(self) -> None:
        """Both replicas are lost for good."""
        for index in self.replicas:
            self.die(index)
        self.wait(self.queue.give_up("no replica is left"))
        self.hear()
        for name, thin in self.thin.items():
            for _ in range(1 + LAST_STEP // 10):
                self.ask(name)
            assert thin.is_stopped or self.has_ended(name), f"{name} waits for ever"
        self.resume()

    @invariant()
    def a_trial_ends_once_and_after_its_reports(self) -> None:
        for thin in self.thin.values():
            kinds = [message.kind for message in thin.heard]
            assert kinds == sorted(kinds, reverse=True), "a report after the end"
            steps = [message.step for message in thin.heard if message.kind == "report"]
            assert steps == sorted(set(steps))

    def teardown(self) -> None:
        """Lets all that is left train to its end: then nobody waits any more."""
        for _ in range(50):
            if all(thin.is_stopped or self.has_ended(name) for name, thin in self.thin.items()):
                break
            for name in list(self.thin):
                self.ask(name)
            self.take_verdicts()
            for index in self.replicas:
                self.take(index)
                self.report(index)
                self.complete(index)
        for name, thin in self.thin.items():
            assert not thin.waiting, f"{name} waits for ever"
            assert thin.is_stopped or self.has_ended(name)
        assert len(self.queue) == 0
        self.loop.close()


QueueMachine.TestCase.settings = settings(
    derandomize=True, deadline=None, max_examples=40, stateful_step_count=40
)
TestQueueMachine = QueueMachine.TestCase
