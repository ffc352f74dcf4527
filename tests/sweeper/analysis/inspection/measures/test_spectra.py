import pytest
import torch

from sweeper.analysis.inspection.measures import spectrum_of, spectrum_of_product


def planted(values, rows=20, columns=12):
    generator = torch.Generator().manual_seed(0)
    left = torch.linalg.qr(torch.randn(rows, len(values), generator=generator).double()).Q
    right = torch.linalg.qr(torch.randn(columns, len(values), generator=generator).double()).Q
    return left * torch.tensor(values, dtype=torch.float64), right.T


def test_planted_values_are_found_and_ranks_follow():
    b, a = planted([4.0, 2.0, 0.02, 0.005])
    found = spectrum_of((b @ a).float())
    assert found.values[:4] == pytest.approx((4, 2, 0.02, 0.005), rel=1e-3)
    assert len(found.values) == found.smallest_side == 12
    assert found.spectral == pytest.approx(4)
    assert found.frobenius == pytest.approx((16 + 4 + 0.02**2 + 0.005**2) ** 0.5)
    assert found.stable_rank == pytest.approx(20.000425 / 16)
    assert found.numerical_rank == 4
    assert [found.rank_above(x) for x in (0, 0.01, 3, 4.1)][1:] == [3, 1, 0]


def test_equal_values_have_their_number_as_effective_and_stable_rank():
    b, a = planted([3.0] * 5)
    found = spectrum_of(b @ a)
    assert found.effective_rank == pytest.approx(5, rel=1e-6)
    assert found.stable_rank == pytest.approx(5)


def test_a_product_has_the_values_of_the_matrix_that_is_not_made():
    b, a = planted([4.0, 2.0, 1.0])
    mix = torch.tensor([[1.0, 2, 0], [0, 1, 0], [3, 0, 1]], dtype=torch.float64)
    found = spectrum_of_product(b @ mix, a)
    whole = spectrum_of(b @ mix @ a)
    assert len(found.values) == 3
    assert found.values == pytest.approx(whole.values[:3])
    assert (found.smallest_side, found.largest_side) == (12, 20)


def test_a_product_of_more_rows_than_the_weight_has():
    b, a = torch.randn(4, 9), torch.randn(9, 3)
    assert spectrum_of_product(b, a).values == pytest.approx(spectrum_of(b @ a).values, rel=1e-5)


@pytest.mark.parametrize(
    "found",
    [spectrum_of(torch.zeros(3, 4)), spectrum_of_product(torch.zeros(3, 0), torch.zeros(0, 4))],
)
def test_nothing_has_rank_0(found):
    assert (found.stable_rank, found.effective_rank, found.numerical_rank) == (0, 0, 0)
