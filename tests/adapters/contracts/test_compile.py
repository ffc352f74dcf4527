"""Every method gives the same outputs and gradients under torch.compile."""

import shutil

import pytest
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch.testing import assert_close

from tests.adapters.conftest import build_llama
from tests.adapters.passes import output, train, trained
from tests.adapters.specs import SPECS, each, is_ours, on

# A compiled pass may sum in another order; relative to the largest value.
ROUNDING = 1e-5
# All of a model is traced for one of each kind; the others differ in their layers alone.
KINDS = [SPECS[name] for name in ("lora", "masa", "mosa", "mtl-lora-tasks")]

# What torch's tracer itself provokes: where a layer's input is no leaf, and where a layer has an
# operation of its own.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning"),
    pytest.mark.filterwarnings("ignore:<class 'torch.autograd.function.Function'> should not be"),
]


@pytest.fixture(autouse=True)
def _nothing_compiled():
    torch._dynamo.reset()


def small(spec):
    """A model of one layer, of which two linear layers are adapted where any are."""
    return train(on(spec, "q_proj", "down_proj").inject(build_llama(layers=1), seed=0)).train()


def results(model, ids):
    """Logits and gradients of one pass in training."""
    found = output(model, ids, labels=ids)
    found.loss.backward()
    return {"logits": found.logits} | {name: p.grad for name, p in trained(model).items()}


def check_alike(model, other, ids):
    expected, found = results(model, ids), results(other, ids)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        limit = ROUNDING * float(value.detach().abs().max())
        assert_close(found[name], value, rtol=0, atol=limit, msg=name)


def adapted(model):
    *_, last = (layer for layer in model.modules() if isinstance(layer, BaseTunerLayer))
    return last


@pytest.mark.whole
@each(lambda spec: spec.adapts_layers and is_ours(spec))
def test_its_layer_compiles(spec, ids):
    model = small(spec)
    adapted(model).compile(backend="aot_eager")
    check_alike(small(spec), model, ids)


@pytest.mark.whole
@each(lambda spec: spec.adapts_layers and not is_ours(spec))
def test_a_layer_of_peft_compiles(spec, ids):
    test_its_layer_compiles(spec, ids)


@each(lambda spec: spec in KINDS)
def test_a_model_with_it_compiles(spec, ids):
    model = small(spec)
    model.compile(backend="eager")
    check_alike(small(spec), model, ids)


@pytest.mark.whole
@each(lambda spec: not spec.adapts_layers)
def test_a_model_without_layers_of_it_compiles(spec, ids):
    test_a_model_with_it_compiles(spec, ids)


@pytest.mark.whole
@pytest.mark.skipif(shutil.which("gcc") is None, reason="inductor needs a compiler")
def test_inductor_compiles_one(ids):
    spec = SPECS["masa-router"]
    model = small(spec)
    adapted(model).compile()
    check_alike(small(spec), model, ids)
