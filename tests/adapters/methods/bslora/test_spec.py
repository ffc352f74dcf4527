"""The size of BSLoRA, as its authors count it, and what of a spec cannot be."""

import re

import pytest
from pydantic import ValidationError

from sweeper_adapters.methods import BsloraSpec
from tests.adapters.shapes import LLAMA3_8B, published

FIVE_TARGETS = ("q_proj", "k_proj", "v_proj", "up_proj", "down_proj")


@pytest.mark.parametrize(
    ("transform", "ranks", "count"),
    [
        # The authors' comparison with ShareLoRA on Llama-3-8B: github.com/yuhua-zhou/BSLoRA,
        # README.md at 2477ddcc4e979bdf1efd6e2e279eab6c9a19e377.
        ("slice", (2, 1, 2), 4_513_792),
        ("slice", (2, 4, 16), 7_667_712),
        ("slice", (4, 8, 32), 15_335_424),
        ("slice", (8, 16, 32), 29_753_344),
        ("gate", (0, 4, 8), 4_472_832),
        ("gate", (2, 4, 16), 8_028_160),
        ("gate", (4, 16, 32), 12_386_304),
        ("gate", (16, 8, 8), 33_046_528),
        ("kron", (8, 16, 16), 14_439_936),
        ("kron", (16, 32, 32), 28_866_048),
        # They print 7,205,376 and 3,832,320, which no ranks near to those make.
        ("kron", (4, 8, 8), 7_226_880),
        ("kron", (2, 8, 32), 3_700_224),
    ],
)
def test_counts_of_the_authors(transform, ranks, count):
    local, intra, inter = ranks
    spec = BsloraSpec(
        transform=transform,
        local_rank=local,
        intra_rank=intra,
        inter_rank=inter,
        targets=FIVE_TARGETS,
    )
    assert spec.count(LLAMA3_8B) == count
    assert spec.problems(LLAMA3_8B) == []


@pytest.mark.parametrize(
    ("transform", "percent"), [("slice", "0.1137"), ("gate", "0.1453"), ("kron", "0.0664")]
)
def test_percentages_of_the_defaults(transform, percent):
    # MASA's Tables 1 and 2 print 0.2247.
    assert f"{published(LLAMA3_8B, BsloraSpec(transform=transform)):.4f}" == percent


@pytest.mark.parametrize(
    ("values", "field", "message"),
    [
        ({"local_rank": 17}, "local_rank", "local_rank is 17 but k_proj is 32 -> 16; its rank is"),
        (
            {"intra_rank": 49},
            "intra_rank",
            "intra_rank is 49 but what is shared with transform 'slice' has 48 features; its rank "
            "is at most 48; give a intra_rank of 0 to 48",
        ),
        (
            {"transform": "gate", "share_size": 7},
            "inter_rank",
            "inter_rank is 8 but what is shared with transform 'gate' has 7 features",
        ),
        (
            {"transform": "kron", "block": 32},
            "block",
            "block is 32 but k_proj is 32 -> 16; block must divide both; give a divisor of both or "
            "leave k_proj out of targets",
        ),
    ],
)
def test_problems_say_what_to_do(values, field, message, shape):
    problems = BsloraSpec(**values).problems(shape)
    assert {name for name, _ in problems} == {field}
    assert re.match(message, problems[0][1])


def test_each_layer_that_a_block_does_not_divide_is_a_problem(shape):
    spec = BsloraSpec(transform="kron", block=32)
    named = [re.findall(r"but (\w+) is", message) for _, message in spec.problems(shape)]
    assert named == [["k_proj"], ["v_proj"], ["gate_proj"], ["up_proj"], ["down_proj"]]
    assert BsloraSpec(transform="kron", block=16).problems(shape) == []
    # Without shared pairs there is nothing to divide.
    alone = BsloraSpec(transform="kron", block=32, intra_rank=0, inter_rank=0)
    assert alone.problems(shape) == []


def test_a_spec_without_any_rank_is_refused():
    with pytest.raises(ValidationError, match="at least one is 1 or more; raise one"):
        BsloraSpec(local_rank=0, intra_rank=0, inter_rank=0)
