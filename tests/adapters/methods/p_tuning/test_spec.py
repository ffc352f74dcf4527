"""The size of P-Tuning, as published, and what of a spec cannot be."""

from typing import Any

import pytest
from pydantic import ValidationError

from sweeper_adapters.methods import PTuningSpec
from tests.adapters.shapes import LLAMA2_7B, LLAMA3_8B, published


# MoSA, Tables 2 and 3.
@pytest.mark.parametrize(("shape", "percent"), [(LLAMA2_7B, "0.7428"), (LLAMA3_8B, "0.6240")])
def test_published_percentages(shape, percent):
    assert f"{published(shape, PTuningSpec()):.4f}" == percent


def test_an_unknown_encoder_is_refused():
    wrong: Any = "gru"
    with pytest.raises(ValidationError, match="'mlp' or 'lstm'"):
        PTuningSpec(encoder=wrong)
