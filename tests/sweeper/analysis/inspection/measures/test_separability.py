import math

import pytest
import torch
from sklearn.metrics import silhouette_score

from sweeper.analysis.inspection.measures import (
    probe_separation,
    silhouette_difference,
    silhouette_separation,
)

SCORES = (silhouette_separation, probe_separation)
LABELS = torch.tensor([0] * 20 + [1] * 15 + [2] * 10)


def noise(width=4, seed=0):
    return torch.randn(len(LABELS), width, generator=torch.Generator().manual_seed(seed))


def clusters():
    return noise() * 0.05 + torch.eye(3)[LABELS] @ torch.ones(3, 4).triu() * 3


@pytest.mark.parametrize("score", SCORES)
def test_clusters_are_separable(score):
    found = score(clusters(), LABELS, draws=99, seed=0)
    assert found.score.value > 0.9
    assert found.p_value == pytest.approx(0.01)
    assert found.null.max() < 0.7


@pytest.mark.parametrize("score", SCORES)
def test_noise_is_not(score):
    """Of 20 draws of noise about one has a p of 0.05 or less."""
    p = [score(noise(seed=seed), LABELS, draws=99, seed=0).p_value for seed in range(20)]
    assert sum(x <= 0.05 for x in p) <= 4
    assert sum(p) / 20 == pytest.approx(0.5, abs=0.2)


def test_the_silhouette_is_sklearns():
    x = noise() + 0.5 * clusters()
    found = silhouette_separation(x, LABELS, draws=1, seed=0).score.value
    assert found == pytest.approx(silhouette_score(x.double().numpy(), LABELS.numpy()))


def test_its_error_is_a_jackknife_over_rows():
    x = noise() + 0.5 * clusters()
    without = []
    for row in range(len(LABELS)):
        kept = torch.arange(len(LABELS)) != row
        without.append(silhouette_score(x[kept].double().numpy(), LABELS[kept].numpy()))
    spread = sum((value - sum(without) / len(without)) ** 2 for value in without)
    expected = math.sqrt((len(without) - 1) / len(without) * spread)
    found = silhouette_separation(x, LABELS, draws=1, seed=0).score.standard_error
    assert found == pytest.approx(expected)


def test_the_difference_of_two_is_paired_by_row():
    x, y = noise() + 0.5 * clusters(), noise(seed=3)
    one, other = (silhouette_separation(z, LABELS, draws=1, seed=0).score for z in (x, y))
    found = silhouette_difference(x, y, LABELS)
    assert found.value == pytest.approx(one.value - other.value)
    assert found.standard_error is not None
    assert found.standard_error > 0
    same = silhouette_difference(x, 2 * x, LABELS)
    assert same.value == pytest.approx(0)
    assert same.standard_error == pytest.approx(0, abs=1e-9)


def test_a_probe_that_has_seen_no_row_tells_no_noise_from_noise_however_wide():
    """Of 45 rows in 60 dimensions a probe tells all apart that it was trained on."""
    found = probe_separation(noise(width=60), LABELS, draws=199, seed=0)
    assert found.score.value < 0.6
    assert found.p_value > 0.05


def test_the_probe_counts_tasks_alike():
    """A probe that always names the largest of the tasks has the recall of one of three."""
    found = probe_separation(torch.zeros(len(LABELS), 2), LABELS, draws=9, seed=0)
    assert found.score.value == pytest.approx(1 / 3, abs=0.34)
    assert (found.null <= 2 / 3).all()
