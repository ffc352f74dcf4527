"""Who may run a sweep: two at once, an owner that died, one that was paused, clocks set back."""

import random
import threading
import time

import pytest

from sweeper.errors import BadInputError
from sweeper.tracking.mirror.lease import (
    Lease,
    LeaseLostError,
    Owner,
    newest_claim,
    this_process,
)
from sweeper.tracking.mirror.stores import Store, StoreError
from tests.sweeper.s3 import DictStore

FAR = Owner(host="far", pid=7, machine="another", started="1")


class Clock:
    """A clock that only sleeping moves; what happens meanwhile is the test's to say."""

    def __init__(self):
        self.now_s = 1000.0
        self.meanwhile = lambda: None

    def sleep(self, seconds):
        self.now_s += seconds
        self.meanwhile()


def lease_of(store: Store, clock: Clock, owner: Owner = FAR) -> Lease:
    return Lease(
        store, "night", owner=owner, clock=lambda: clock.now_s, sleep=clock.sleep, beat_s=10.0
    )


@pytest.fixture
def store() -> DictStore:
    return DictStore()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_sweep_that_nobody_runs_can_be_had_at_once(store, clock):
    lease = lease_of(store, clock)
    lease.acquire()
    assert clock.now_s == 1000.0
    assert newest_claim(store, "night") == (lease.claim, "process 7 on far")
    lease.beat()
    lease.require()


def test_one_that_is_given_back_can_be_had_at_once(store, clock):
    first, second = lease_of(store, clock), lease_of(store, clock)
    first.acquire()
    first.release()
    assert newest_claim(store, "night") == (first.claim, "")
    second.acquire()
    assert clock.now_s == 1000.0
    assert second.before == first.claim
    assert second.claim > first.claim


def test_an_owner_that_lives_keeps_it(store, clock):
    first, second = lease_of(store, clock), lease_of(store, clock)
    first.acquire()
    clock.meanwhile = first.beat
    told = []
    with pytest.raises(BadInputError, match="is being run by process 7 on far from memory://store"):
        second.acquire(on_waiting=lambda owner, wait_s: told.append((str(owner), wait_s)))
    assert told == [("process 7 on far", 40.0)]
    first.require(is_fresh_enough=False)


def test_a_dead_owner_is_found_out_by_the_clock_of_the_watcher(store, clock):
    first, second = lease_of(store, clock), lease_of(store, clock)
    first.acquire()
    second.acquire()
    assert 1040.0 <= clock.now_s <= 1045.0
    assert [key for key in store.objects if first.claim in key] == []


def test_a_dead_process_of_this_machine_is_known_at_once(store, clock):
    here = this_process()
    assert here.machine
    assert not here.is_dead_here()
    # The number is a living process's, but that one began at another time.
    lease_of(store, clock, replace_started(here)).acquire()
    lease_of(store, clock).acquire()
    assert clock.now_s == 1000.0


def replace_started(owner: Owner) -> Owner:
    return owner.model_copy(update={"started": "1"})


def test_an_owner_that_was_paused_writes_no_more(store, clock):
    paused, second = lease_of(store, clock), lease_of(store, clock)
    paused.acquire()
    second.acquire()
    before = dict(store.objects)
    for attempt in (paused.beat, paused.release, paused.require):
        with pytest.raises(LeaseLostError, match="taken over by another process"):
            attempt()
    assert store.objects == before
    second.require(is_fresh_enough=False)


def test_a_clock_that_is_set_back_changes_nothing(store, clock, monkeypatch):
    first, second = lease_of(store, clock), lease_of(store, clock)
    first.acquire()
    monkeypatch.setattr(time, "time", lambda: 5.0)
    clock.meanwhile = first.beat
    with pytest.raises(BadInputError, match="is being run"):
        second.acquire()
    clock.meanwhile = lambda: None
    second.acquire()
    with pytest.raises(LeaseLostError):
        first.require()


def test_one_that_comes_between_the_look_and_the_claim_is_seen(store, clock):
    first, second = lease_of(store, clock), lease_of(store, clock)

    def other_is_faster(key):
        store.before_put = lambda key: None
        second.acquire()

    store.before_put = other_is_faster
    clock.meanwhile = second.beat
    with pytest.raises(BadInputError, match="is being run"):
        first.acquire()
    second.require(is_fresh_enough=False)
    assert newest_claim(store, "night") == (second.claim, "process 7 on far")


class Paused(DictStore):
    """A store whose request of a number is made late: something else happens first."""

    def __init__(self, *, meanwhile):
        super().__init__()
        self.at = 0
        self.meanwhile = meanwhile
        self.requests = 0

    def _ask(self):
        self.requests += 1
        if self.requests == self.at:
            self.meanwhile()


@pytest.mark.parametrize("at", range(1, 15))
def test_one_that_is_paused_at_any_point_ends_without_it(at):
    clock, other_clock = Clock(), Clock()
    others: list[Lease] = []

    def other_takes_it():
        # To the other one the paused one is dead, and its claim as well.
        other = lease_of(paused_store, other_clock)
        other.acquire()
        others.append(other)

    paused_store = store = Paused(meanwhile=other_takes_it)
    before = lease_of(store, Clock())
    before.acquire()
    before.release()
    store.requests, store.at = 0, at
    paused = lease_of(store, clock)

    def beat_others():
        for other in others:
            other.beat()

    clock.meanwhile = beat_others
    try:
        paused.acquire()
        paused.beat()
        paused.beat()
        paused.require(is_fresh_enough=False)
    except (BadInputError, LeaseLostError):
        pass
    else:
        assert not others
        pytest.skip("it makes fewer requests than that")
    others[0].require(is_fresh_enough=False)
    assert newest_claim(store, "night") == (others[0].claim, "process 7 on far")


class Turns:
    """Lets one of some threads go on at a time, which one is drawn."""

    def __init__(self, seed: int, count: int):
        self.draw = random.Random(seed)
        self.left = count
        self.waiting: set[int] = set()
        self.turn: int | None = None
        self.changed = threading.Condition()

    def _give(self):
        if self.turn is None and self.waiting and len(self.waiting) == self.left:
            self.turn = self.draw.choice(sorted(self.waiting))
            self.changed.notify_all()

    def wait(self, me: int):
        with self.changed:
            self.waiting.add(me)
            self._give()
            self.changed.wait_for(lambda: self.turn == me)
            self.turn = None
            self.waiting.discard(me)

    def end(self):
        with self.changed:
            self.left -= 1
            self._give()


class InTurns(DictStore):
    """One thread's view of a store: it waits for its turn before each request."""

    def __init__(self, objects, turns, me):
        super().__init__()
        self.objects = objects
        self.turns, self.me = turns, me

    def _ask(self):
        self.turns.wait(self.me)


@pytest.mark.parametrize("seed", range(60))
def test_of_three_in_any_order_one_at_most_has_it(seed):
    objects: dict[str, bytes] = {}
    turns = Turns(seed, 3)
    had, is_over = [], threading.Event()

    def work(me):
        clock = Clock()
        lease = lease_of(InTurns(objects, turns, me), clock)
        try:
            lease.acquire()
            had.append(lease)
            while len(refused) + len(had) < 3 and not is_over.is_set():
                lease.beat()
        except BadInputError:
            refused.append(me)
        finally:
            turns.end()

    refused: list[int] = []
    threads = [threading.Thread(target=work, args=(me,), daemon=True) for me in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30.0)
    is_over.set()
    assert len(had) == 1
    assert len(refused) == 2


def test_a_store_that_goes_away_is_no_loss(store, clock):
    lease = lease_of(store, clock)
    lease.acquire()
    store.is_away = True
    clock.now_s += 500.0
    with pytest.raises(StoreError):
        lease.beat()
    with pytest.raises(StoreError):
        lease.require()
    store.is_away = False
    lease.beat()
    lease.require()


def test_a_claim_whose_writer_died_before_its_first_beat_is_dead(store, clock):
    store.put("night/lease/00000004-x.claim", b"no JSON")
    lease = lease_of(store, clock)
    lease.acquire()
    assert lease.claim.startswith("00000005-")
    assert "night/lease/00000004-x.claim" not in store.objects


def test_what_is_no_claim_is_left_alone(store, clock):
    store.put("night/lease/readme.claim", b"")
    lease_of(store, clock).acquire()
    assert "night/lease/readme.claim" in store.objects
