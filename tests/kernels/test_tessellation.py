import bisect
import itertools
import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sweeper_kernels import Tessellation, group_index_reference
from tests.kernels.drawn import STRATEGIES, tessellations

MASK_32 = 2**32 - 1


def sizes(tessellation):
    index = group_index_reference(tessellation).flatten().long()
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
    rows = group_index_reference(Tessellation(6, 4, 3, "row"))
    assert rows.tolist() == [[0] * 4] * 2 + [[1] * 4] * 2 + [[2] * 4] * 2
    columns = group_index_reference(Tessellation(4, 6, 3, "col"))
    assert columns.tolist() == [[0, 0, 1, 1, 2, 2]] * 4


# Pairs that a layout would give away, as slices of a matrix: beside, below, and far apart.
NEIGHBOURS = {
    "right": ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
    "below": ((slice(1, None),), (slice(None, -1),)),
    "diagonal": ((slice(1, None), slice(1, None)), (slice(None, -1), slice(None, -1))),
    "two to the right": ((slice(None), slice(2, None)), (slice(None), slice(None, -2))),
    "eight below": ((slice(8, None),), (slice(None, -8),)),
    "half": ((slice(None, 50),), (slice(-50, None),)),
}


def deviations(index, groups):
    """By how many standard deviations an index differs from a random one, statistic by statistic.

    The groups are balanced, so that a pair of weights shares one with probability 1/K.
    """
    share = 1 / groups
    found = {}
    for name, (one, other) in NEIGHBOURS.items():
        same = (index[one] == index[other]).double()
        deviation = math.sqrt(share * (1 - share) / same.numel())
        found[name] = (same.mean().item() - share) / deviation
    # Each row, and each column, has each group as often as chance has it.
    for name, lines in (("rows", index), ("columns", index.T)):
        offsets = torch.arange(lines.shape[0])[:, None] * groups
        counts = torch.bincount((lines + offsets).flatten(), minlength=lines.shape[0] * groups)
        expected = lines.shape[1] * share
        chi_square = ((counts - expected) ** 2 / expected).sum().item()
        freedom = (groups - 1) * lines.shape[0]
        found[name] = (chi_square - freedom) / math.sqrt(2 * freedom)
    return found


@pytest.mark.parametrize(
    ("shape", "groups"), [((200, 300), 5), ((64, 4096), 7), ((1024, 1024), 2), ((999, 100), 100)]
)
def test_random_groups_ignore_where_a_weight_is(shape, groups):
    found: dict[str, list[float]] = {}
    for seed in range(20):
        index = group_index_reference(Tessellation(shape[0], shape[1], groups, seed=seed)).long()
        for name, deviation in deviations(index, groups).items():
            found.setdefault(name, []).append(deviation)
    for name, values in found.items():
        # One of 640 standard normal values is beyond 4.5 in 0.4 % of all choices of seeds, and the
        # mean of 20 beyond 4.5 deviations as seldom.
        assert max(map(abs, values)) < 4.5, name
        assert abs(sum(values)) / math.sqrt(len(values)) < 4.5, name


def test_the_statistics_find_what_is_not_random():
    for strategy in ("row", "col"):
        index = group_index_reference(Tessellation(200, 300, 5, strategy)).long()
        assert max(map(abs, deviations(index, 5).values())) > 100
    # One half-round moves a whole row alike, and leaves pairs of a row together.
    tessellation = Tessellation(64, 4096, 7)
    object.__setattr__(tessellation, "keys", tessellation.keys[:1])
    assert max(map(abs, deviations(group_index_reference(tessellation).long(), 7).values())) > 100


def test_every_place_is_as_likely_for_every_weight():
    # 3,000 seeds: where each of 12 weights goes, and where the first goes given the second.
    places = torch.stack(
        [Tessellation(8, 8, 1, seed=seed).position(torch.arange(12)) for seed in range(3000)]
    )
    for counts in [torch.bincount(places[:, k], minlength=64).double() for k in range(12)]:
        chi_square = ((counts - 3000 / 64) ** 2 / (3000 / 64)).sum().item()
        assert abs(chi_square - 63) < 5 * math.sqrt(2 * 63)
    steps = torch.bincount((places[:, 0] - places[:, 1]) % 64, minlength=64)[1:].double()
    chi_square = ((steps - 3000 / 63) ** 2 / (3000 / 63)).sum().item()
    assert abs(chi_square - 62) < 5 * math.sqrt(2 * 62)


def test_neighbours_do_not_stay_neighbours():
    tessellation = Tessellation(512, 512, 1, seed=7)
    positions = tessellation.position(torch.arange(512 * 512))
    for distance in (1, 2, 512, 513):
        moved = (positions[distance:] - positions[:-distance]).abs()
        # By chance 2 of 262,144 pairs are next to each other.
        assert (moved == 1).sum() < 15
        # The distance of two random places of N is N/3 on average.
        assert abs(moved.double().mean().item() / (512 * 512) - 1 / 3) < 0.005


@pytest.mark.parametrize("strategy", ["brt", "skewed"])
def test_seeds_give_unrelated_tessellations(strategy):
    seeds = (0, 0, 1, 2, 2**32, 2**62)
    indices = [
        group_index_reference(Tessellation(100, 100, 10, strategy, seed=seed)) for seed in seeds
    ]
    assert torch.equal(indices[0], indices[1])
    by_chance = (sizes(Tessellation(100, 100, 10, strategy)) / 10_000).square().sum().item()
    deviation = math.sqrt(by_chance * (1 - by_chance) / 10_000)
    for one, two in itertools.combinations(indices[1:], 2):
        assert abs((one == two).double().mean().item() - by_chance) < 5 * deviation


def test_chunks_do_not_show(monkeypatch):
    tessellation = Tessellation(37, 53, 11, seed=4)
    whole = group_index_reference(tessellation)
    monkeypatch.setattr("sweeper_kernels.tessellation._CHUNK", 100)
    assert torch.equal(group_index_reference(tessellation), whole)
    assert whole.dtype == torch.int32
    assert whole.shape == (37, 53)


def mix(number, key, size):
    """The round function in Python's own integers: what a kernel in uint32 computes."""
    number = (number ^ key) * 0x7FEB352D & MASK_32
    number ^= number >> 15
    number = number * 0x846CA68B & MASK_32
    return (number >> 16) * size >> 16


def splitmix64(seed, count):
    numbers = []
    for k in range(1, count + 1):
        z = (seed + k * 0x9E3779B97F4A7C15) % 2**64
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        numbers.append((z ^ z >> 31) >> 32)
    return numbers


def shuffled(number, out_features, in_features, seed):
    weights = out_features * in_features
    rows, columns = out_features, in_features
    if min(rows, columns) < 64 or max(rows, columns) > 2**16:
        columns = math.isqrt(weights - 1) + 1
        rows = -(-weights // columns)
    while True:
        row, column = divmod(number, columns)
        for turn, key in enumerate(splitmix64(seed, 6)):
            if turn % 2:
                row = (row + mix(column, key, rows)) % rows
            else:
                column = (column + mix(row, key, columns)) % columns
        number = row * columns + column
        if number < weights:
            return number


@given(st.integers(1, 40_000), st.integers(1, 50_000), st.data())
def test_shuffle_is_exact_integer_arithmetic(out_features, in_features, data):
    weights = out_features * in_features
    seed = data.draw(st.integers(0, 2**63 - 1))
    numbers = data.draw(st.lists(st.integers(0, weights - 1), min_size=1, max_size=5))
    tessellation = Tessellation(out_features, in_features, 1, seed=seed)
    expected = [shuffled(number, out_features, in_features, seed) for number in numbers]
    assert tessellation.position(torch.tensor(numbers)).tolist() == expected
    assert tessellation.index(torch.tensor(expected)).tolist() == numbers


def test_a_matrix_beyond_32_bits_is_refused():
    with pytest.raises(ValueError, match=r"65536 x 32768 matrix has 2147483648 weights"):
        Tessellation(2**16, 2**15, 1)


def test_shuffle_never_changes():
    # An adapter file holds the seed and not the groups: a change makes every saved one another.
    # Of a matrix with cycle walking, and of one without.
    positions = Tessellation(10, 10, 10, seed=42).position(torch.arange(10))
    assert positions.tolist() == [11, 8, 22, 62, 19, 81, 36, 2, 25, 99]
    positions = Tessellation(64, 100, 10, seed=42).position(torch.arange(10))
    assert positions.tolist() == [699, 4976, 224, 5355, 387, 4494, 339, 1602, 1072, 3095]


@pytest.mark.parametrize("shape", [(46_340, 46_340), (2**31 - 1, 1), (3, 700_000_000)])
def test_groups_of_the_largest_matrices(shape):
    tessellation = Tessellation(shape[0], shape[1], 1000, seed=3)
    weights = torch.cat(
        [torch.randint(tessellation.weights, (1000,)), torch.tensor([0, tessellation.weights - 1])]
    )
    positions = tessellation.position(weights)
    assert torch.equal(tessellation.index(positions), weights)
    size, larger = divmod(tessellation.weights, 1000)
    ends = [(k + 1) * size + min(k + 1, larger) for k in range(1000)]
    expected = [bisect.bisect_right(ends, position) for position in positions.tolist()]
    assert tessellation.group(positions).tolist() == expected


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
    ],
)
def test_wrong_values_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        Tessellation(**{"out_features": 3, "in_features": 4, "groups": 5, **values})


@pytest.mark.gpu
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_groups_are_the_same_on_a_gpu(strategy):
    tessellation = Tessellation(130, 70, 60, strategy, seed=5)
    assert torch.equal(
        group_index_reference(tessellation, device="cuda").cpu(),
        group_index_reference(tessellation),
    )
