"""The size of MoSA, as published."""

import pytest

from sweeper_adapters.methods import MosaSpec
from tests.adapters.shapes import LLAMA2_7B, LLAMA3_8B, TINY, published


@pytest.mark.parametrize(
    ("shape", "percent"),
    # Tables 2 to 4 and Figure 3.
    [(LLAMA2_7B, "0.8256"), (LLAMA3_8B, "0.7002")],
)
def test_published_percentages(shape, percent):
    assert f"{published(shape, MosaSpec(rank=32)):.4f}" == percent


def test_groups_are_counted_once_a_layer():
    assert MosaSpec(groups=7, targets=("q_proj", "down_proj")).count(TINY) == 4 * 2 * 7
