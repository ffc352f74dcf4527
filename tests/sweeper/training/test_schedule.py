"""Which examples a step sees, with which learning rate, and when a trial is evaluated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.data.tokens.encoding import Tokens
from sweeper.experiment.trial import TrainSpec
from sweeper.training.schedule import DataOrder, evaluation_steps, learning_rate


def order(count: int, seed: int = 0) -> DataOrder:
    return DataOrder([Tokens((1, n), 1, example=n) for n in range(count)], seed=seed)


def drawn(data: DataOrder, steps: int, size: int) -> list[int]:
    return [tokens.example for step in range(steps) for tokens in data.batch(step, size)]


def test_each_epoch_is_another_permutation():
    found = drawn(order(10), steps=6, size=5)
    epochs = [found[start : start + 10] for start in (0, 10, 20)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_the_order_does_not_depend_on_the_size_of_a_batch():
    assert drawn(order(7), steps=12, size=2) == drawn(order(7), steps=3, size=8)


def test_the_order_does_not_depend_on_what_was_drawn_before():
    assert order(7).batch(5, 4) == [order(7).batch(position, 1)[0] for position in range(20, 24)]


def test_a_batch_may_be_larger_than_the_data():
    found = drawn(order(3), steps=1, size=8)
    assert sorted(found[:3]) == sorted(found[3:6]) == [0, 1, 2]


def test_the_seed_decides():
    assert drawn(order(30), 3, 10) == drawn(order(30), 3, 10)
    assert drawn(order(30), 3, 10) != drawn(order(30, seed=1), 3, 10)


def lengths_of(data: DataOrder, steps: int, size: int) -> list[list[int]]:
    return [[len(tokens.ids) for tokens in data.batch(step, size)] for step in range(steps)]


def bucketed(count: int, *, bucket: int, seed: int = 0) -> DataOrder:
    """Examples of lengths that come in no order."""
    rows = [Tokens((1,) * (1 + n * 37 % 101), 1, example=n) for n in range(count)]
    return DataOrder(rows, seed=seed, bucket=bucket)


@given(
    count=st.integers(1, 400),
    bucket=st.integers(2, 9),
    per_step=st.integers(1, 3),
    seed=st.integers(0, 3),
)
def test_with_buckets_each_epoch_has_every_example_once(count, bucket, per_step, seed):
    size = bucket * per_step
    # As often as it takes for epochs to end where steps do.
    found = drawn(bucketed(count, bucket=bucket, seed=seed), steps=count, size=size)
    # In a batch they stand by length, and an epoch may end in it.
    for position in range(0, len(found), count):
        whole = range(-(-position // size) * size, (position + count) // size * size)
        epoch = [found[at] for at in whole]
        assert len(set(epoch)) == len(epoch)
    assert sorted(found) == sorted(list(range(count)) * size)


def test_examples_of_a_bucket_are_of_like_length():
    def padding(data):
        batches = lengths_of(data, steps=75, size=8)
        whole = [max(batch[at : at + 4]) * 4 for batch in batches for at in (0, 4)]
        return sum(whole) / sum(map(sum, batches)) - 1

    plain, sorted_ = bucketed(600, bucket=1), bucketed(600, bucket=4)
    assert padding(plain) > 0.5
    assert padding(sorted_) < 0.05


def test_buckets_are_drawn_in_no_order_and_differ_between_epochs():
    data = bucketed(600, bucket=4)
    first, second = (
        [tuple(t.example for t in data.batch(step, 4)) for step in steps]
        for steps in (range(150), range(150, 300))
    )
    sizes = [len(data.batch(step, 4)[0].ids) for step in range(150)]
    assert sizes not in (sorted(sizes), sorted(sizes, reverse=True))
    assert first != second
    # Not the same company again: of 150 buckets hardly one meets once more.
    assert len({frozenset(x) for x in first} & {frozenset(x) for x in second}) < 10


def test_the_order_of_buckets_does_not_depend_on_workers():
    """Two workers of micro-batches of 4, or one that accumulates two of them."""
    one = drawn(bucketed(50, bucket=4), steps=20, size=8)
    other = drawn(bucketed(50, bucket=4), steps=20, size=8)
    assert one == other
    # And larger steps take the same examples in the same turn.
    twice = drawn(bucketed(50, bucket=4), steps=10, size=16)
    assert [sorted(one[at : at + 16]) for at in range(0, 160, 16)] == [
        sorted(twice[at : at + 16]) for at in range(0, 160, 16)
    ]


def test_buckets_do_not_depend_on_what_was_drawn_before():
    whole = bucketed(50, bucket=4)
    batches = [whole.batch(step, 8) for step in range(30)]
    assert bucketed(50, bucket=4).batch(17, 8) == batches[17]
    assert whole.batch(3, 8) == batches[3]


def test_micro_batches_that_run_at_once_are_neighbours_in_length():
    for batch in lengths_of(bucketed(600, bucket=4), steps=30, size=16):
        longest = [max(batch[at : at + 4]) for at in (0, 4, 8, 12)]
        assert longest == sorted(longest)


def test_the_seed_decides_the_buckets():
    def first(seed):
        return bucketed(90, bucket=4, seed=seed).batch(0, 8)

    assert first(0) == first(0) != first(1)


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", [1.0, 1.0, 1.0, 1.0]),
        ("linear", [1.0, 0.75, 0.5, 0.25]),
        ("cosine", [1.0, 0.853553, 0.5, 0.146447]),
    ],
)
def test_the_learning_rate_falls_towards_zero(schedule, rates):
    train = TrainSpec(steps=4, learning_rate=1, schedule=schedule, evaluations=1)
    found = [learning_rate(train, step) for step in range(4)]
    assert found == pytest.approx(rates, abs=1e-6)


def test_the_learning_rate_rises_over_the_warm_up():
    train = TrainSpec(steps=6, learning_rate=1, warmup_ratio=0.5, schedule="linear", evaluations=1)
    found = [learning_rate(train, step) for step in range(6)]
    assert found == pytest.approx([0.25, 0.5, 0.75, 1, 2 / 3, 1 / 3])


@given(
    steps=st.integers(1, 500),
    warmup=st.floats(0, 0.99),
    schedule=st.sampled_from(["constant", "linear", "cosine"]),
)
def test_no_step_is_wasted_and_none_is_above_the_peak(steps, warmup, schedule):
    train = TrainSpec(
        steps=steps, learning_rate=0.5, warmup_ratio=warmup, schedule=schedule, evaluations=1
    )
    rates = [learning_rate(train, step) for step in range(steps)]
    assert all(0 < rate <= 0.5 for rate in rates)


@given(st.integers(1, 300), st.data())
def test_evaluations_are_evenly_spaced_and_end_at_the_end(steps, data):
    evaluations = data.draw(st.integers(1, steps))
    found = evaluation_steps(TrainSpec(steps=steps, learning_rate=1, evaluations=evaluations))
    assert len(set(found)) == evaluations
    assert found[-1] == steps
    gaps = [after - before for before, after in zip((0, *found), found, strict=False)]
    assert min(gaps) >= 1
    assert max(gaps) - min(gaps) <= 1
