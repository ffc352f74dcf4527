"""The size of VB-LoRA, as published, and what of a spec cannot be."""

import re

import pytest
from pydantic import ValidationError

from sweeper_adapters.methods import VbloraSpec
from tests.adapters.shapes import LLAMA3_8B, TINY, published


def test_published_percentage():
    # MASA, Table 1.
    assert f"{published(LLAMA3_8B, VbloraSpec()):.4f}" == "0.2613"


def test_problems_say_what_to_do():
    problems = VbloraSpec(rank=2, vector_length=32).problems(TINY)
    assert {name for name, _ in problems} == {"vector_length"}
    message = "vector_length is 32 but k_proj is 32 -> 16; it must divide both; give a divisor"
    assert re.search(message, problems[0][1])


def test_a_bank_has_the_vectors_that_a_piece_takes():
    message = "top_k is 3 but the bank has 2 vectors; .*lower"
    with pytest.raises(ValidationError, match=message):
        VbloraSpec(vectors=2, top_k=3)
