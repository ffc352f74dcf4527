"""What every low-rank method promises of the scale of rsLoRA and of the step of LoRA+."""

import math

import pytest
from torch.testing import assert_close

from sweeper_adapters.methods._low_rank import LowRankSpec
from tests.adapters.passes import logits, train, trained
from tests.adapters.specs import NAMES, each, load_examples

LAYERS = 1

# One of each method: its examples have the scale and the matrices B in common.
FIRST = [next(iter(load_examples(name).EXAMPLES.values())) for name in NAMES]

each_low_rank = each(lambda spec: spec in FIRST and isinstance(spec, LowRankSpec))

# A scale is rounded to float32 where it multiplies; decompositions by it are, too.
ROUNDING = 1e-5
FACTOR = 16


def test_most_methods_are_low_rank():
    assert len([spec for spec in FIRST if isinstance(spec, LowRankSpec)]) == 15


@each_low_rank
def test_sqrt_rank_divides_alpha_by_the_root_of_the_rank(spec, llama, ids):
    root = math.sqrt(spec.rank)
    specs = {
        "sqrt_rank": spec.model_copy(update={"scaling": "sqrt_rank"}),
        "alpha": spec.model_copy(update={"alpha": spec.alpha * root}),
        "rank": spec,
    }
    found = {
        name: logits(train(changed.inject(llama(), seed=0)), ids) for name, changed in specs.items()
    }
    limit = ROUNDING * float(found["alpha"].abs().max())
    assert_close(found["sqrt_rank"], found["alpha"], rtol=0, atol=limit)
    assert (found["sqrt_rank"] - found["rank"]).abs().max() > 100 * limit


def rates(spec, llama):
    """What each trained parameter is stepped with: its factors, by its name."""
    model = spec.inject(llama(), seed=0)
    training = spec.training(model, steps=8)
    names = {id(p): name for name, p in trained(model).items()}
    return {
        names[id(p)]: (group.learning_rate, group.weight_decay, group.eps, p)
        for group in training.groups()
        for p in group.parameters
    }


@each_low_rank
def test_the_matrices_b_have_the_factor_of_the_learning_rate(spec, llama):
    plain = rates(spec, llama)
    plus = rates(spec.model_copy(update={"b_learning_rate_factor": FACTOR}), llama)
    assert plus.keys() == plain.keys()
    for name, (rate, *others, parameter) in plus.items():
        # [O, R], or several of these.
        is_up = "_B." in name and parameter.dim() > 1 and parameter.shape[-1] == spec.rank
        assert rate == plain[name][0] * (FACTOR if is_up else 1), name
        assert others == list(plain[name][1:3])
    ups = sum(rate != plain[name][0] for name, (rate, *_) in plus.items())
    assert ups == len(spec.targets)


@each_low_rank
def test_what_is_not_set_is_not_written(spec):
    later = {"scaling": "sqrt_rank", "b_learning_rate_factor": 2.0}
    plain = {name: type(spec).model_fields[name].default for name in later}
    written = spec.model_copy(update=plain).model_dump(mode="json")
    assert not set(later) & set(written)
    changed = spec.model_copy(update=later)
    assert changed.model_dump(mode="json") == written | later
    # What is compared between trials has all.
    assert spec.model_copy(update=plain).parameters().items() >= plain.items()
    assert type(spec).model_validate(changed.model_dump(mode="json")) == changed


@pytest.mark.parametrize("name", ["scaling", "b_learning_rate_factor"])
def test_a_method_without_the_form_has_no_such_field(name):
    others = [type(spec) for spec in FIRST if not isinstance(spec, LowRankSpec)]
    assert len(others) == len(NAMES) - 15
    assert not any(name in spec.model_fields for spec in others)


def test_a_config_says_what_scaling_may_be():
    from sweeper_adapters import MasaConfig

    assert MasaConfig(r=4, alpha=6).scale == 1.5
    assert MasaConfig(r=4, alpha=6, scaling="sqrt_rank").scale == 3
    with pytest.raises(ValueError, match="masa: scaling is 'root'; allowed is one of rank, sqrt_r"):
        MasaConfig(scaling="root")
