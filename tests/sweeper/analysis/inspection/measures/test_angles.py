import math

import numpy as np
import pytest
import torch

from sweeper.analysis.inspection.measures import overlap_of, random_overlaps


def test_equal_row_spaces_have_no_angle():
    a = torch.randn(3, 10)
    mixed = torch.tensor([[1.0, 2, 3], [0, 1, 4], [0, 0, 2]]) @ a
    found = overlap_of(a, mixed)
    assert found.mean == pytest.approx(0, abs=1e-4)
    assert found.shared == pytest.approx(1)


def test_orthogonal_row_spaces_have_a_right_one():
    basis = torch.linalg.qr(torch.randn(8, 8)).Q
    found = overlap_of(basis[:3], basis[3:6])
    assert found.angles == pytest.approx((90, 90, 90), abs=1e-4)
    assert found.shared == pytest.approx(0, abs=1e-9)


def test_planted_angles_are_found_also_small_ones():
    planted = (0.01, 30.0, 60.0)
    basis = torch.linalg.qr(torch.randn(8, 8).double()).Q
    turned = [
        math.cos(math.radians(x)) * basis[i] + math.sin(math.radians(x)) * basis[3 + i]
        for i, x in enumerate(planted)
    ]
    found = overlap_of(basis[:3], torch.stack(turned))
    assert found.angles == pytest.approx(planted, rel=1e-3)
    assert found.smallest == found.angles[0]
    assert found.shared == pytest.approx((1 + 0.75 + 0.25) / 3)


def test_random_spaces_share_their_part_of_the_whole():
    found = random_overlaps((4, 2), 32, draws=300, seed=0)
    error = found.std() / math.sqrt(300)
    # E ‖Q_iᵀ Q_j‖² = R_i R_j / I, over the smaller of the two.
    assert found.mean() == pytest.approx(4 / 32, abs=4 * error)
    assert error < 0.005
    assert np.array_equal(found, random_overlaps((4, 2), 32, draws=300, seed=0))
