"""What all specs are told alike: values and targets that cannot be, and their text and back."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from sweeper_adapters.methods import Linear, LoraSpec, MasaSpec, Method, ModelShape, MosaSpec
from tests.adapters.shapes import TINY


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        (LoraSpec(targets=("q_pro",)), "targets", "'q_pro' matches no .* did you mean 'q_proj'"),
        (LoraSpec(targets=("xyz", "q_proj")), "targets", "'xyz' matches no linear layer .* it has"),
        (LoraSpec(rank=17), "rank", "rank is 17 but k_proj is 32 -> 16; its rank is at most 16"),
        (MasaSpec(rank=17), "rank", "give a rank of 1 to 16 or leave k_proj out of targets"),
        (MasaSpec(group_size=5), "group_size", "group_size is 5 but the model has 4 layers"),
        (
            MosaSpec(groups=513),
            "groups",
            "groups makes 513 groups but k_proj has 512 weights; groups may be 1 to 512",
        ),
        (
            MosaSpec(rank=11),
            "rank",
            "rank makes 528 groups but k_proj has 512 weights; rank may be 1 to 10",
        ),
    ],
)
def test_problems_say_what_to_do(spec, field, message):
    import re

    problems = spec.problems(TINY)
    assert [name for name, _ in problems] == [field] * len(problems)
    assert re.search(message, problems[0][1])
    assert all(";" in text for _, text in problems)


def test_all_problems_are_reported_at_once():
    spec = MasaSpec(rank=17, group_size=5, targets=("q_pro", "v_proj"))
    assert [name for name, _ in spec.problems(TINY)] == ["targets", "rank", "group_size"]


@pytest.mark.parametrize(
    "spec",
    [LoraSpec(), MasaSpec(), MasaSpec(group_size=9, sharing="none"), MosaSpec(rank=10)],
    ids=repr,
)
def test_a_method_that_fits_has_no_problems(spec):
    assert spec.problems(TINY) == []


def test_a_target_may_be_a_dotted_suffix():
    linears = (Linear("attn.c_proj", 8, 8), Linear("mlp.c_proj", 32, 8))
    shape = ModelShape(2, linears, 1000)
    assert LoraSpec(rank=1, targets=("c_proj",)).count(shape) == 2 * (16 + 40)
    assert LoraSpec(rank=1, targets=("mlp.c_proj",)).count(shape) == 2 * 40


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "lroa"}, "lora"),
        ({"name": "masa", "expert": 3}, "Extra inputs are not permitted"),
        ({"name": "masa", "experts": 0}, "greater than or equal to 1"),
        ({"name": "masa", "group_size": 0}, "greater than or equal to 1"),
        ({"name": "masa", "sharing": "c"}, "'a', 'b', 'both' or 'none'"),
        ({"name": "mosa", "rank": 3, "groups": 5}, "exactly one of the two sets its size"),
        ({"name": "mosa", "rank": None}, "exactly one of the two sets its size"),
        ({"name": "mosa", "groups": 0}, "greater than or equal to 1"),
        ({"name": "lora", "targets": []}, "at least 1 item"),
        ({"name": "lora", "alpha": float("nan")}, "finite number"),
    ],
)
def test_values_out_of_range_are_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Method).validate_python(values)


def test_groups_take_the_place_of_the_default_rank():
    assert MosaSpec(groups=5).rank is None
    assert MosaSpec().groups is None


methods = st.one_of(
    st.builds(LoraSpec, rank=st.integers(1, 99), alpha=st.floats(0.1, 99)),
    st.builds(
        MasaSpec,
        experts=st.integers(1, 9),
        group_size=st.integers(1, 9),
        sharing=st.sampled_from(["a", "b", "both", "none"]),
        router=st.sampled_from(["none", "softmax"]),
    ),
    st.builds(MosaSpec, groups=st.integers(1, 10**9), rank=st.none()),
    st.builds(MosaSpec, rank=st.integers(1, 99), grouping=st.sampled_from(["brt", "skewed"])),
)


@given(methods)
def test_specs_survive_json(spec):
    assert TypeAdapter(Method).validate_json(json.dumps(spec.model_dump(mode="json"))) == spec


@given(methods)
def test_only_what_fits_has_no_problems(spec):
    fits = not spec.problems(TINY)
    if isinstance(spec, MosaSpec):
        assert fits == all(spec.size(linear) <= linear.weights for linear in spec.adapted(TINY))
    else:
        assert fits == (
            spec.rank <= 16
            and (isinstance(spec, LoraSpec) or spec.sharing == "none" or spec.group_size <= 4)
        )


def test_the_first_class_that_is_used_registers_with_peft():
    code = """
import sys
import sweeper_adapters
assert not {"torch", "peft"} & set(sys.modules)
config = sweeper_adapters.MasaConfig()
import peft
assert peft.PeftType("MASA") is config.peft_type and peft.PeftType("MOSA") == "MOSA"
sweeper_adapters.register()
sweeper_adapters.register()
assert peft.PEFT_TYPE_TO_CONFIG_MAPPING["MASA"] is sweeper_adapters.MasaConfig
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    import sweeper_adapters

    with pytest.raises(AttributeError, match="has no attribute 'LasaConfig'"):
        sweeper_adapters.LasaConfig  # noqa: B018 - looking it up is the test
    assert "MasaConfig" in dir(sweeper_adapters)


def test_defaults_are_the_same_as_those_of_the_configs():
    from sweeper_adapters import MasaConfig, MosaConfig

    for spec, config in ((MasaSpec(), MasaConfig()), (MosaSpec(), MosaConfig())):
        config.target_modules = set(spec.targets)
        config.task_type = "CAUSAL_LM"
        assert spec.peft_config().to_dict() == config.to_dict()
