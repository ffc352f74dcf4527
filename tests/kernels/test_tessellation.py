import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sweeper_kernels import Tessellation, group_index

STRATEGIES = ("brt", "row", "col", "skewed")
MASK_32 = 2**32 - 1


@st.composite
def tessellations(draw, *, strategies=STRATEGIES):
    out_features = draw(st.integers(1, 70))
    in_features = draw(st.integers(1, 70))
    return Tessellation(
        out_features,
        in_features,
        draw(st.integers(1, out_features * in_features)),
        strategy=draw(st.sampled_from(strategies)),
        seed=draw(st.integers(0, 2**63 - 1)),
        skew=draw(st.floats(0.05, 0.99)),
    )


def sizes(tessellation):
    index = group_index(tessellation).flatten().long()
    return torch.bincount(index, minlength=tessellation.groups)


@given(tessellations())
def test_position_is_a_bijection(tessellation):
    weights = torch.arange(tessellation.weights)
    positions = tessellation.position(weights)
    assert torch.equal(positions.sort().values, weights)
    assert torch.equal(tessellation.index(positions), weights)


@given(st.integers(1, 5000), st.integers(0, 2**63 - 1))
def test_shuffle_is_a_bijection_for_every_number_of_weights(weights, seed):
    tessellation = Tessellation(1, weights, 1, seed=seed)
    positions = tessellation.position(torch.arange(weights))
    assert torch.equal(positions.sort().values, torch.arange(weights))


@given(tessellations())
def test_groups_are_runs_of_positions(tessellation):
    groups = tessellation.group(torch.arange(tessellation.weights))
    assert (groups.diff() >= 0).all()
    assert groups[0] == 0
    assert groups[-1] < tessellation.groups


@given(tessellations(strategies=("brt", "row", "col")))
def test_balanced_sizes_differ_by_at_most_one(tessellation):
    found = sizes(tessellation)
    assert found.min() >= 1
    assert found.max() - found.min() <= 1


@given(st.integers(1, 5000), st.integers(1, 300), st.integers(1, 31).map(lambda step: step / 32))
def test_skewed_sizes_are_largest_remainders_of_a_geometric_series(weights, groups, skew):
    tessellation = Tessellation(1, weights, min(groups, weights), "skewed", skew=skew)
    # Terms after these are too small to matter here, and too slow as fractions.
    shares = [Fraction(skew) ** k for k in range(min(tessellation.groups, 150))]
    total = sum(shares)
    quotas = [weights * share / total for share in shares]
    expected = [math.floor(quota) for quota in quotas]
    by_remainder = sorted(range(len(quotas)), key=lambda k: expected[k] - quotas[k])
    for k in by_remainder[: weights - sum(expected)]:
        expected[k] += 1
    found = sizes(tessellation)
    assert found.sum() == weights
    assert (found.diff() <= 0).all()
    # The series ends earlier here: a weight may be in the group beside.
    assert (found[:150] - torch.tensor(expected)).abs().max() <= 1


def test_skewed_sizes_of_the_paper():
    found = sizes(Tessellation(64, 64, 4, "skewed"))
    # 4096 * (1, .85, .7225, .614125) / 3.186625 = 1285.37, 1092.56, 928.68, 789.38
    assert found.tolist() == [1285, 1093, 929, 789]


def test_stripes_follow_rows_and_columns():
    rows = group_index(Tessellation(6, 4, 3, "row"))
    assert rows.tolist() == [[0] * 4] * 2 + [[1] * 4] * 2 + [[2] * 4] * 2
    columns = group_index(Tessellation(4, 6, 3, "col"))
    assert columns.tolist() == [[0, 0, 1, 1, 2, 2]] * 4


@pytest.mark.parametrize("strategy", ["brt", "skewed"])
def test_random_groups_ignore_where_a_weight_is(strategy):
    tessellation = Tessellation(200, 300, 5, strategy, seed=1)
    index = group_index(tessellation)
    share = sizes(tessellation) / tessellation.weights
    by_chance = share.square().sum().item()
    # 59,800 pairs or so: five standard deviations are about 0.008.
    for name, pairs in {
        "right": index[:, 1:] == index[:, :-1],
        "below": index[1:] == index[:-1],
        "diagonal": index[1:, 1:] == index[:-1, :-1],
        "half": index[:100] == index[100:],
    }.items():
        assert abs(pairs.double().mean().item() - by_chance) < 0.012, name
    # Each row, and each column, has each group as often as chance has it.
    for lines in (index, index.T):
        counts = torch.stack([(lines == k).sum(1) for k in range(5)], 1).double()
        expected = lines.shape[1] * share
        chi_square = ((counts - expected) ** 2 / expected).sum().item()
        freedom = 4 * lines.shape[0]
        assert abs(chi_square - freedom) < 5 * math.sqrt(2 * freedom)


@pytest.mark.parametrize("strategy", ["brt", "skewed"])
def test_seeds_give_unrelated_tessellations(strategy):
    first, again, other, third = (
        group_index(Tessellation(100, 100, 10, strategy, seed=seed)) for seed in (0, 0, 1, 2**62)
    )
    assert torch.equal(first, again)
    by_chance = (sizes(Tessellation(100, 100, 10, strategy)) / 10_000).square().sum().item()
    for one, two in ((first, other), (first, third), (other, third)):
        assert abs((one == two).double().mean().item() - by_chance) < 0.02


def test_chunks_do_not_show(monkeypatch):
    tessellation = Tessellation(37, 53, 11, seed=4)
    whole = group_index(tessellation)
    monkeypatch.setattr("sweeper_kernels.tessellation._CHUNK", 100)
    assert torch.equal(group_index(tessellation), whole)
    assert whole.dtype == torch.int32
    assert whole.shape == (37, 53)


def mix(number, key):
    """The round function in Python's own integers: what a kernel in uint32 computes."""
    number ^= key
    number ^= number >> 16
    number = number * 0x7FEB352D & MASK_32
    number ^= number >> 15
    number = number * 0x846CA68B & MASK_32
    return number ^ number >> 16


def splitmix64(seed, count):
    numbers = []
    for k in range(1, count + 1):
        z = (seed + k * 0x9E3779B97F4A7C15) % 2**64
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        numbers.append((z ^ z >> 31) >> 32)
    return numbers


def shuffled(number, weights, seed):
    bits = max(1, (weights - 1).bit_length())
    low_bits = bits // 2
    while True:
        low, high = number % 2**low_bits, number >> low_bits
        for turn, key in enumerate(splitmix64(seed, 6)):
            if turn % 2:
                low ^= mix(high, key) % 2**low_bits
            else:
                high ^= mix(low, key) % 2 ** (bits - low_bits)
        number = high << low_bits | low
        if number < weights:
            return number


@given(st.integers(1, 2**40), st.data())
def test_shuffle_is_exact_integer_arithmetic(weights, data):
    seed = data.draw(st.integers(0, 2**63 - 1))
    numbers = data.draw(st.lists(st.integers(0, weights - 1), min_size=1, max_size=5))
    tessellation = Tessellation(1, weights, 1, seed=seed)
    expected = [shuffled(number, weights, seed) for number in numbers]
    assert tessellation.position(torch.tensor(numbers)).tolist() == expected
    assert tessellation.index(torch.tensor(expected)).tolist() == numbers


def test_shuffle_never_changes():
    # An adapter file holds the seed and not the groups: a change makes every saved one another.
    positions = Tessellation(10, 10, 10, seed=42).position(torch.arange(10))
    assert positions.tolist() == [23, 81, 21, 88, 12, 80, 28, 13, 25, 57]


def test_groups_of_a_matrix_larger_than_32_bits():
    tessellation = Tessellation(2**20, 2**20, 1000, seed=3)
    weights = torch.randint(2**40, (1000,))
    positions = tessellation.position(weights)
    assert torch.equal(tessellation.index(positions), weights)
    groups = tessellation.group(positions)
    assert groups.tolist() == [p * 1000 // 2**40 for p in positions.tolist()]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"out_features": 0}, "out_features is 0; allowed is 1 or more"),
        ({"in_features": 0}, "in_features is 0; allowed is 1 or more"),
        ({"groups": 0}, "groups is 0; allowed is 1 to 12, the weights of a 3 x 4 matrix"),
        ({"groups": 13}, "groups is 13; allowed is 1 to 12"),
        ({"strategy": "rows"}, "strategy is 'rows'; allowed is brt, row, col, skewed"),
        ({"seed": -1}, "seed is -1; allowed is 0 to"),
        ({"skew": 1.0}, "skew is 1.0; allowed is above 0 and below 1"),
        ({"out_features": 2**31, "in_features": 2**31, "groups": 2}, "give fewer groups"),
    ],
)
def test_wrong_values_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        Tessellation(**{"out_features": 3, "in_features": 4, "groups": 5, **values})


@pytest.mark.gpu
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_groups_are_the_same_on_a_gpu(strategy):
    tessellation = Tessellation(130, 70, 60, strategy, seed=5)
    assert torch.equal(group_index(tessellation, device="cuda").cpu(), group_index(tessellation))
