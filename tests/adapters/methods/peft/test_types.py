"""Each type of PEFT in a warm model: counted, trained, saved, and gone without a trace."""

import warnings

import pytest
import torch
from peft import PeftModel
from torch.testing import assert_close

from sweeper.models.shapes import skeleton
from sweeper.models.snapshot import ModelSnapshot
from sweeper.training.adapter_file import adapter_elements
from sweeper_adapters.methods import ModelShape, PeftSpec
from sweeper_adapters.methods.peft.facts import facts_of
from sweeper_adapters.methods.peft.reading import write_table
from sweeper_adapters.methods.peft.table import FILE, known_types
from tests.adapters.methods.peft.examples import TYPES
from tests.adapters.passes import logits, trained
from tests.whole import few

LAYERS = 3
# A merged weight is rounded once where the adapter's output was.
ROUNDING = 1e-4
# What is saved may be another form of what is trained.
FORM = 1e-5

each_type = pytest.mark.parametrize("name", few(TYPES, "VERA", "IA3", "OFT", "PROMPT_TUNING"))

# PEFT warns of what a type saves, and of what it cannot merge.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:peft")


def step(model, ids, steps=2):
    """Trains a little, as a trial does."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        torch.manual_seed(17)
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
    optimizer.zero_grad()
    return model


def hooks_of(model):
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(module, kind)) for module in model.modules() for kind in kinds)


def test_the_table_is_what_the_installed_peft_has():
    # Where it is not: python -m sweeper_adapters.methods.peft.reading
    assert FILE.read_text(encoding="utf-8") == write_table()


def test_each_type_has_an_example_or_a_reason():
    refused = {name for name in known_types() if facts_of(name).refused}
    assert set(TYPES) == set(known_types()) - refused
    assert not refused & set(TYPES)
    assert len(TYPES) >= 35
    for name in known_types():
        facts, fields = facts_of(name), known_types()[name].fields
        assert facts.size is None or facts.size in fields, name
        assert set(facts.required) <= set(fields), name


@each_type
def test_a_trial_leaves_the_base_as_it_was(name, llama, ids):
    spec, model = TYPES[name], llama().requires_grad_(False)
    modules, hooks = dict(model.named_modules()), hooks_of(model)
    values = {key: p.detach().clone() for key, p in model.named_parameters()}
    before = logits(model, ids)
    for seed in (0, 1):
        kept = ModelSnapshot(model, copies_weights=spec.changes_base)
        adapted = spec.inject(model, seed=seed)
        assert not any(p.requires_grad for key, p in model.named_parameters() if key in values)
        step(adapted, ids)
        assert not torch.equal(logits(adapted, ids), before)
        kept.restore()
        after = dict(model.named_modules())
        assert after.keys() == modules.keys()
        assert all(after[key] is modules[key] for key in modules)
        assert hooks_of(model) == hooks
        assert not hasattr(model, "peft_config")
        found = dict(model.named_parameters())
        assert found.keys() == values.keys()
        assert all(torch.equal(found[key], values[key]) for key in values)
        assert not any(p.requires_grad or p.grad is not None for p in found.values())
        assert torch.equal(logits(model, ids), before)


@each_type
def test_it_counts_what_it_trains(name, llama, shape):
    spec, model = TYPES[name], llama()
    config = model.config.to_dict()
    injected = sum(p.numel() for p in trained(spec.inject(model, seed=0)).values())
    assert spec.count(shape) == injected
    assert spec.problems(shape) == []
    bare = skeleton(config)
    with torch.device("meta"):
        adapted = spec.inject(bare, seed=0)
    assert sum(p.numel() for p in trained(adapted).values()) == injected
    assert {p.device.type for p in adapted.parameters()} == {"meta"}
    if spec.is_counted_by_shape and spec.adapts_layers:
        # Each further layer adds as much as the formula says.
        longer = ModelShape(5, shape.linears, shape.total_parameters)
        deeper = skeleton({**config, "num_hidden_layers": 5})
        with torch.device("meta"):
            adapted = spec.inject(deeper, seed=0)
        assert spec.count(longer) == sum(p.numel() for p in trained(adapted).values())


@pytest.mark.parametrize("layers", [1, 2, 4])
@pytest.mark.parametrize("kind", ["MLP", "LSTM"])
def test_a_prompt_encoder_is_counted_with_its_layers(kind, layers, llama, shape):
    fields = {
        "type": "P_TUNING",
        "num_virtual_tokens": 3,
        "encoder_reparameterization_type": kind,
        "encoder_hidden_size": 5,
        "encoder_num_layers": layers,
    }
    spec = PeftSpec.model_validate(fields)
    injected = sum(p.numel() for p in trained(spec.inject(llama(), seed=0)).values())
    assert spec.count(shape) == injected


@each_type
def test_it_starts_as_its_facts_say(name, llama, ids):
    spec, before = TYPES[name], logits(llama(), ids)
    first, again, other = (spec.inject(llama(), seed=seed) for seed in (1, 1, 2))
    same, values = trained(again), trained(first)
    assert all(torch.equal(values[key], same[key]) for key in values)
    others = trained(other)
    differs = any(not torch.equal(values[key], others[key]) for key in values)
    assert differs == spec.start_depends_on_seed
    off = float((logits(first, ids) - before).abs().max() / before.abs().max())
    if spec.start_tolerance is None:
        assert off > FORM
    else:
        assert off <= spec.start_tolerance


@each_type
def test_each_parameter_gets_a_gradient(name, llama, ids):
    model = step(TYPES[name].inject(llama(), seed=0), ids)
    model(input_ids=ids, labels=ids).loss.backward()
    largest = 0.0
    for key, parameter in trained(model).items():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
        largest = max(largest, float(parameter.grad.abs().max()))
    assert largest > 0


@each_type
def test_its_file_does_what_was_trained(name, llama, ids, tmp_path):
    spec = TYPES[name]
    model = spec.inject(llama(), seed=0)
    elements = adapter_elements(model)
    hooks = spec.training(model, steps=4)
    step(model, ids)
    expected = logits(model, ids)
    with hooks.finished():
        model.save_pretrained(tmp_path, save_embedding_layers=False)
        assert adapter_elements(model) == hooks.file_elements(elements) or spec.facts.is_prompt
    loaded = PeftModel.from_pretrained(llama(), tmp_path)
    limit = FORM * float(expected.abs().max())
    assert_close(logits(loaded, ids), expected, rtol=0, atol=limit)
    # It writes answers, too: the first token is the one of the last position.
    with torch.no_grad():
        written = loaded.generate(input_ids=ids, max_new_tokens=2, do_sample=False, pad_token_id=0)
    assert torch.equal(written[:, ids.shape[1]], expected[:, -1].argmax(-1))


@each_type
def test_it_merges_or_says_that_it_does_not(name, llama, ids):
    spec = TYPES[name]
    model = step(spec.inject(llama(), seed=0), ids)
    expected = logits(model, ids)
    if not spec.is_mergeable:
        with pytest.raises((ValueError, NotImplementedError, AttributeError)):
            model.merge_and_unload()
        return
    merged = model.merge_and_unload()
    assert_close(logits(merged, ids), expected, rtol=0, atol=ROUNDING)
    assert merged.state_dict().keys() == llama().state_dict().keys()


@each_type
def test_it_trains_on_a_base_in_16_bit_and_with_checkpoints(name, llama, ids):
    spec = TYPES[name]
    # As DeepSpeed does it, which keeps the float32 copies itself.
    model = spec.inject(llama(torch.bfloat16), seed=0).to(torch.bfloat16)
    model.activation_checkpointing_enable({"use_reentrant": False})
    step(model, ids)
    assert all(torch.isfinite(p).all() for p in trained(model).values())


@each_type
def test_a_budget_sizes_it(name, shape):
    spec = TYPES[name]
    if spec.facts.size is None:
        assert spec.resized(shape, 1000) is spec
        assert dict(spec.sizes()) == {}
        return
    sized = {wanted: spec.resized(shape, wanted) for wanted in (500, 2000)}
    for wanted, found in sized.items():
        assert found.problems(shape) == []
        size = found.fields[spec.size_field]
        near = [spec.at_size(int(str(size)) // found._size_step + by) for by in (-1, 1)]
        counts = [x.count(shape) for x in near if x is not None and not x.problems(shape)]
        if spec.facts.is_divisor:
            continue
        assert all(abs(found.count(shape) - wanted) <= abs(x - wanted) for x in counts)


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
