"""The size of CoLA, as published, and what of a spec cannot be."""

import pytest
from pydantic import ValidationError

from sweeper_adapters.methods import ColaSpec
from tests.adapters.shapes import LLAMA3_8B, LLAMA32_3B, published


def test_published_figures():
    spec = ColaSpec(rank=8, down_projections=2, up_projections=3)
    assert f"{published(LLAMA3_8B, spec):.4f}" == "0.6551"
    assert f"{published(LLAMA32_3B, spec):.4f}" == "0.9406"


def test_heuristic_needs_a_b_for_each_a():
    message = r"up_projections is 2 .*; allowed is down_projections \(3\) or more.*; give more"
    with pytest.raises(ValidationError, match=message):
        ColaSpec(collaboration="heuristic", down_projections=3, up_projections=2)
    assert ColaSpec(collaboration="random", down_projections=3, up_projections=2).rank == 8
