"""HiRA in PEFT is the paper's; its size as published."""

import re

import pytest
from torch.testing import assert_close

from sweeper_adapters.methods import HiraSpec, MosaSpec
from tests.adapters.passes import merged
from tests.adapters.shapes import LLAMA2_7B, LLAMA3_8B, TINY, published

# Of weights that are no larger than 1.
ROUNDING = 1e-6


def test_hira_scales_each_weight(llama):
    name = "model.layers.1.mlp.down_proj"
    found, layer = merged(HiraSpec(rank=3), llama, name)
    weight = llama().get_submodule(name).weight.double()
    update = layer.hira_B["default"].double() @ layer.hira_A["default"].double()
    assert_close(found.double(), weight + weight * update, rtol=0, atol=ROUNDING)


# MoSA, Tables 2 and 3.
@pytest.mark.parametrize(("shape", "percent"), [(LLAMA2_7B, "0.8256"), (LLAMA3_8B, "0.7002")])
def test_published_percentages(shape, percent):
    assert f"{published(shape, HiraSpec(targets=MosaSpec().targets)):.4f}" == percent


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        (HiraSpec(rank=17), "rank", "rank is 17 but k_proj"),
        (HiraSpec(rank=1, targets=("q_prj",)), "targets", "did you mean 'q_proj'"),
    ],
)
def test_problems_say_what_to_do(spec, field, message):
    problems = spec.problems(TINY)
    assert {name for name, _ in problems} == {field}
    assert re.search(message, problems[0][1])
