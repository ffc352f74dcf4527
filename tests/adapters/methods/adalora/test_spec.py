"""What of AdaLoRA cannot be on a model."""

import re

import pytest

from sweeper_adapters.methods import AdaloraSpec
from tests.adapters.shapes import TINY


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
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
