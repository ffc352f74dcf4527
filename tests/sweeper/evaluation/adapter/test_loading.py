"""Only the adapter that a trial's method saves is loaded as the trial's."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from sweeper.errors import AdapterError, BadInputError
from sweeper.evaluation.adapter import load_adapter, load_base_of, loading
from sweeper.evaluation.adapter.expected import TensorForm, expect_adapter
from sweeper.experiment.trial import EvaluationSpec, TrialSpec
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper_adapters.methods import EngineFacts
from tests.adapters.conftest import build_llama
from tests.adapters.specs import SPECS, each
from tests.sweeper import exported, scenarios, tiny

WEIGHTS = "adapter_model.safetensors"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return exported.make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def lora(world):
    """A trial with LoRA, and the folder of its adapter."""
    sweep = SweepFolder.create(world / "sweeps", "lora", document=exported.DOCUMENT)
    spec = exported.trial(SPECS["lora"], world)
    return spec, exported.made(sweep, spec).adapter


@each()
def test_what_a_method_saves_is_what_is_expected_of_it(spec, world, tmp_path):
    sweep = SweepFolder.create(tmp_path, "one", document=exported.DOCUMENT)
    trial = exported.trial(spec, world, precision="bf16")
    folder = exported.made(sweep, trial).adapter
    expected = expect_adapter(trial, trial.model.load("bf16").model)
    tensors = load_file(folder / WEIGHTS)
    found = {key: TensorForm.of(x) for key, x in tensors.items()}
    assert {key: x.shape for key, x in found.items()} == {
        key: x.shape for key, x in expected.tensors.items()
    }
    for key, form in expected.tensors.items():
        assert found[key] in {form, *expected.alternatives.get(key, ())}, key
    model = load_adapter(trial, trial.model.load("bf16").model, folder)
    held = {id(x): x for x in [*model.parameters(), *model.buffers()]}.values()
    assert not any(x.is_meta for x in held)
    frozen = exported.logits(exported.base_of(world, "bf16"))
    if not spec.changes_base:
        assert not torch.equal(exported.logits(model)[:, -8:], frozen)


def test_what_a_training_has_saved_is_what_is_expected_of_it(world):
    here = EngineFacts(zero_stage=0, workers=1, precision="bf16", has_gpu=False, batch_size=2)
    # The first example of each method that this machine can train.
    examples = [(name, spec) for name, spec in SPECS.items() if not spec.engine_problems(here)]
    kinds = {spec.name: name for name, spec in reversed(examples)}
    methods = {name: SPECS[name] for name in kinds.values()}
    assert len(methods) > 20
    assert scenarios.run(exported.train_all, 1, world, methods, "bf16", "trained") == [{}]
    for folder in SweepFolder(world / "sweeps" / "trained").trial_folders():
        trial = TrialSpec.model_validate(folder.spec())
        model = load_adapter(trial, trial.model.load("bf16").model, folder.adapter)
        assert model.active_adapter == "default"


def with_digests(folder, tmp_path):
    """A copy of an adapter with what is noted of it."""
    shutil.copy(folder.with_name("adapter.sha256"), tmp_path)
    return shutil.copytree(folder, tmp_path / "adapter")


def lose_a_block(path):
    # As a disk does that has lost power: the header says what it said.
    content = bytearray(path.read_bytes())
    content[-64:] = bytes(64)
    path.write_bytes(content)


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-7] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [lose_a_block, flip_a_bit])
def test_values_that_are_not_those_that_were_written(lora, tmp_path, damage):
    spec, folder = lora
    copied = with_digests(folder, tmp_path)
    load_adapter(spec, spec.model.load("fp32").model, copied)
    damage(copied / WEIGHTS)
    with pytest.raises(AdapterError, match=r"adapter_model\.safetensors: its bytes are not those"):
        load_adapter(spec, spec.model.load("fp32").model, copied)


def test_the_adapter_of_another_trial_of_the_same_method(world, lora, tmp_path):
    sweep = SweepFolder.create(world / "sweeps", "other", document=exported.DOCUMENT)
    spec, folder = lora
    other = exported.made(sweep, spec, number=5).adapter
    copied = with_digests(folder, tmp_path)
    shutil.copy(other / WEIGHTS, copied)
    with pytest.raises(AdapterError, match=r"its bytes are not those that training wrote"):
        load_adapter(spec, spec.model.load("fp32").model, copied)


@pytest.mark.parametrize("noted", ["", "x\n", "0" * 64 + "  adapter/../../x\n", "\0" * 99])
def test_what_is_noted_may_be_missing_or_damaged(lora, tmp_path, noted):
    spec, folder = lora
    copied = with_digests(folder, tmp_path)
    (tmp_path / "adapter.sha256").write_text(noted)
    load_adapter(spec, spec.model.load("fp32").model, copied)
    (tmp_path / "adapter.sha256").unlink()
    load_adapter(spec, spec.model.load("fp32").model, copied)


def damaged(folder, tmp_path, change):
    """A copy of an adapter with other fields or tensors."""
    copied = tmp_path / "adapter"
    shutil.copytree(folder, copied)
    config = json.loads((copied / "adapter_config.json").read_text())
    tensors = load_file(copied / WEIGHTS)
    change(config, tensors)
    (copied / "adapter_config.json").write_text(json.dumps(config))
    save_file(tensors, copied / WEIGHTS, metadata={"format": "pt"})
    return copied


FIRST = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c, t: t.clear(),
            rf"{WEIGHTS}: base_model.* is missing, .* and 67 more like it; the",
        ),
        (lambda c, t: t.pop(FIRST), rf"{WEIGHTS}: {FIRST} is missing; "),
        (lambda c, t: t.update(x=t.pop(FIRST)), rf"{FIRST} is missing, x is not of this adapter"),
        (
            lambda c, t: t.update({FIRST: t[FIRST][:2].clone()}),
            r"float32 \[2, 32\] where .* \[4, 32",
        ),
        (lambda c, t: t.update({FIRST: t[FIRST].double()}), r"is float64 .* the trial has float32"),
        (lambda c, t: t[FIRST].fill_(torch.inf), rf"{FIRST} has values that are NaN or infinite"),
        (lambda c, t: c.update(peft_type="MASA"), "peft_type is 'MASA' where the trial has 'LORA'"),
        (lambda c, t: c.update(lora_alpha=32), "lora_alpha is 32 where the trial has 16"),
        (lambda c, t: c.pop("lora_alpha"), "lora_alpha is 8 where the trial has 16"),
        (lambda c, t: c.update(r=True), "r is True where the trial has 4"),
        (lambda c, t: c.update(target_modules=["q_proj"]), r"target_modules is \['q_proj'\] where"),
        (lambda c, t: c.update(use_rslora=True), "use_rslora is True where the trial has False"),
        (lambda c, t: c.update(lora_alfa=16), "the field lora_alfa is unknown"),
    ],
)
def test_another_adapter_than_the_trials_is_refused(change, message, lora, world, tmp_path):
    spec, adapter = lora
    folder = damaged(adapter, tmp_path, change)
    base = exported.base_of(world)
    with pytest.raises(AdapterError, match=message) as caught:
        load_adapter(spec, base, folder)
    assert isinstance(caught.value, BadInputError)
    ending = "with lora, wrote; restore them from a copy, or train the trial again"
    assert str(caught.value).endswith(ending)
    assert not hasattr(base, "peft_config")


def test_where_it_comes_from_and_the_order_of_targets_do_not_matter(lora, world, tmp_path):
    spec, adapter = lora

    def change(config, tensors):
        config |= {"base_model_name_or_path": "elsewhere", "revision": "x", "peft_version": "9"}
        config["target_modules"].reverse()
        config["lora_alpha"] = 16.0

    folder = damaged(adapter, tmp_path, change)
    expected = exported.logits(load_adapter(spec, exported.base_of(world), adapter))
    assert torch.equal(
        exported.logits(load_adapter(spec, exported.base_of(world), folder)), expected
    )


def pruned(config, tensors):
    """As AdaLoRA does in training: of each layer the first two entries of E are left."""
    config["rank_pattern"] = {}
    for key in [key for key in tensors if key.endswith("lora_E")]:
        config["rank_pattern"][key.removeprefix("base_model.model.")] = [True, True, False, False]
        for side in ("lora_E", "lora_A"):
            name = key.replace("lora_E", side)
            tensors[name] = tensors[name][:2].clone()
        name = key.replace("lora_E", "lora_B")
        tensors[name] = tensors[name][:, :2].contiguous()


def test_ranks_that_training_has_given_are_read_and_checked(world, tmp_path):
    sweep = SweepFolder.create(tmp_path, "adalora", document=exported.DOCUMENT)
    spec = exported.trial(SPECS["adalora"], world)
    adapter = exported.made(sweep, spec).adapter
    folder = damaged(adapter, tmp_path, pruned)
    model = load_adapter(spec, exported.base_of(world), folder)
    shapes = {x.shape for name, x in model.named_parameters() if "lora_E" in name}
    assert shapes == {(2, 1)}

    path = folder / "adapter_config.json"
    whole = json.loads(path.read_text())
    name = next(iter(whole["rank_pattern"]))
    for value in ([True], [False] * 4, 3, [1, 0, 0, 0], None):
        pattern = whole["rank_pattern"] | {name: value}
        path.write_text(json.dumps(whole | {"rank_pattern": pattern}))
        with pytest.raises(
            AdapterError, match=r"rank_pattern of .*lora_E is not a list of 4 true or"
        ):
            load_adapter(spec, exported.base_of(world), folder)
    path.write_text(json.dumps(whole | {"rank_pattern": {"x": [True] * 4}}))
    with pytest.raises(AdapterError, match="rank_pattern names other layers than the trial's"):
        load_adapter(spec, exported.base_of(world), folder)


def test_an_adapter_on_another_base_is_refused(lora, world):
    spec, adapter = lora
    other = build_llama(layers=3)
    with pytest.raises(
        AdapterError, match=r"layers\.3\..* is not of this adapter, .* more like it"
    ):
        load_adapter(spec, other, adapter)


def test_a_base_is_loaded_as_a_trial_says(monkeypatch):
    asked = []
    monkeypatch.setattr(loading, "load_base", lambda *given, **named: asked.append((given, named)))
    spec = tiny.trial()
    spec = spec.model_copy(update={"evaluation": EvaluationSpec(metrics=("rouge_l", "perplexity"))})
    load_base_of(spec, device="cpu")
    assert asked == [
        (
            (spec.model, spec.data),
            {
                "precision": spec.engine.precision,
                "max_length": spec.train.max_length,
                "device": "cpu",
                "metrics": ("rouge_l", "perplexity"),
            },
        )
    ]
