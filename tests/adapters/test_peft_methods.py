"""The methods that PEFT has: their sizes as published, and what of a spec cannot be."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from sweeper_adapters.methods import (
    AdaloraSpec,
    DoraSpec,
    HiraSpec,
    MosaSpec,
    PissaSpec,
    PromptTuningSpec,
    PTuningSpec,
    QloraSpec,
    VbloraSpec,
)
from tests.adapters.test_methods import (
    LLAMA2_7B,
    LLAMA3_8B,
    LLAMA32_3B,
    TINY,
    published,
)

FIVE = MosaSpec().targets


@pytest.mark.parametrize(
    ("shape", "spec", "percent"),
    [
        # MASA, Tables 1 and 7.
        (LLAMA3_8B, DoraSpec(rank=16), "0.5366"),
        (LLAMA32_3B, DoraSpec(rank=16), "0.7748"),
        (LLAMA3_8B, VbloraSpec(), "0.2613"),
        # MoSA, Tables 2 and 3. It prints DoRA without the lengths.
        (LLAMA2_7B, PromptTuningSpec(), "0.0012"),
        (LLAMA3_8B, PromptTuningSpec(), "0.0010"),
        (LLAMA2_7B, PTuningSpec(), "0.7428"),
        (LLAMA3_8B, PTuningSpec(), "0.6240"),
        (LLAMA2_7B, HiraSpec(targets=FIVE), "0.8256"),
        (LLAMA3_8B, HiraSpec(targets=FIVE), "0.7002"),
        # They train what LoRA does.
        (LLAMA3_8B, PissaSpec(rank=16), "0.5196"),
        (LLAMA3_8B, QloraSpec(rank=16), "0.5196"),
    ],
)
def test_published_percentages(shape, spec, percent):
    assert f"{published(shape, spec):.4f}" == percent


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        (DoraSpec(rank=17), "rank", "rank is 17 but k_proj is 32 -> 16; .* at most 16"),
        (PissaSpec(rank=17), "rank", "give a rank of 1 to 16 or leave k_proj out of targets"),
        (HiraSpec(rank=17), "rank", "rank is 17 but k_proj"),
        (HiraSpec(rank=1, targets=("q_prj",)), "targets", "did you mean 'q_proj'"),
        (
            VbloraSpec(rank=2, vector_length=32),
            "vector_length",
            "vector_length is 32 but k_proj is 32 -> 16; it must divide both; give a divisor",
        ),
        (AdaloraSpec(initial_rank=17), "initial_rank", "initial_rank is 17 but k_proj"),
        (
            AdaloraSpec(initial_rank=8, target_rank=8),
            "target_rank",
            "target_rank is 8 but initial_rank is 8; it must be less, .* lower target_rank",
        ),
        (
            AdaloraSpec(warmup_share=0.5, final_share=0.5),
            "final_share",
            "warmup_share 0.5 and final_share 0.5 leave no steps .* below 1; lower one of them",
        ),
    ],
)
def test_problems_say_what_to_do(spec, field, message):
    problems = spec.problems(TINY)
    assert {name for name, _ in problems} == {field}
    assert re.search(message, problems[0][1])


@pytest.mark.parametrize(
    ("cls", "values", "message"),
    [
        (VbloraSpec, {"vectors": 2, "top_k": 3}, "top_k is 3 but the bank has 2 vectors; .*lower"),
        (PromptTuningSpec, {"targets": ["q_proj"]}, "Extra inputs are not permitted"),
        (PromptTuningSpec, {"virtual_tokens": 0}, "greater than or equal to 1"),
        (PTuningSpec, {"encoder": "gru"}, "'mlp' or 'lstm'"),
        (PissaSpec, {"iterations": 0}, "greater than or equal to 1"),
    ],
)
def test_values_out_of_range_are_refused(cls: Any, values, message):
    with pytest.raises(ValidationError, match=message):
        cls(**values)
