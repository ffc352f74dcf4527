"""An export gives the outputs of the trial's adapter, or is refused, whatever the method."""

from __future__ import annotations

import functools
import json
from importlib.util import find_spec

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch.testing import assert_close
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from sweeper.analysis.lookup import FoundTrial
from sweeper.errors import BadInputError
from sweeper.export import EXPORT_FORMATS, export_trial
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper_adapters import lora_factors
from sweeper_adapters.methods import LoraSpec, MasaSpec
from tests.adapters.specs import SPECS, first_examples
from tests.sweeper import exported, scenarios
from tests.whole import few

# A LoRA has its scale in B, and sums that a method forms in each pass were formed before. In five
# layers of width 32, with logits of up to 1, a few roundings of float32 come of it.
SAME_PRODUCTS = 1e-5
# In bfloat16 arithmetic, whose numbers below 1 are 2^-9 apart or more, an output may fall to the
# other side of a rounding, which the layers after it pass on.
TOLERANCE = {"fp32": SAME_PRODUCTS, "bf16": 2**-8}

LORAS = [name for name, spec in SPECS.items() if spec.exports_lora]
MERGEABLE = [name for name, spec in SPECS.items() if spec.is_mergeable]
# Layers with ranks of their own, also where the adapter's rank is doubled.
RANKS = ["lora-ranks", "pissa-ranks", "lora-ga-ranks"]
# One of each way in which an adapter is loaded.
LOADED = [
    "lora",
    "lora-ranks",
    "masa-both",
    "mosa",
    "loramoe",
    "mtl-lora-tasks",
    "qlora",
    "prompt-tuning",
]
# One of each way in which a merged weight is made.
ROUNDED = ["lora", "masa", "mosa-col", "dora"]


each_precision = pytest.mark.parametrize("precision", few(["fp32", "bf16"], "bf16"))


@pytest.fixture(scope="module")
def trained(trial_of, world):
    """Returns the function that has the logits of a trial's adapter."""

    @functools.cache
    def logits(name, precision="fp32"):
        adapter = trial_of(name, precision).trial.adapter
        return exported.logits(exported.adapted(world, adapter, precision))

    return logits


@pytest.fixture(scope="module")
def frozen(world):
    return {x: exported.logits(exported.base_of(world, x)) for x in ("fp32", "bf16")}


# Each format, of all methods that there are., of all methods that there are.


@pytest.mark.parametrize("name", few(LORAS, *first_examples(LORAS), *RANKS))
@each_precision
def test_a_lora_has_the_outputs_of_the_method(
    name, precision, trial_of, trained, frozen, world, tmp_path
):
    done = export_trial(trial_of(name, precision), "lora", output=tmp_path / "lora")
    assert done.largest_difference <= done.tolerance < done.adapter_effect / 100

    config = LoraConfig.from_pretrained(tmp_path / "lora")
    assert config.peft_type == "LORA"
    assert config.lora_alpha == config.r
    assert config.alpha_pattern == config.rank_pattern
    lora = exported.logits(exported.adapted(world, tmp_path / "lora", precision))
    assert lora.dtype == {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    assert_close(lora, trained(name, precision), rtol=0, atol=TOLERANCE[precision])
    assert (lora - frozen[precision]).abs().max() > 2 * TOLERANCE[precision]


@pytest.mark.parametrize("name", few(MERGEABLE, *first_examples(MERGEABLE), *RANKS))
def test_a_merged_model_has_the_outputs_of_the_method(name, trial_of, trained, tmp_path):
    done = export_trial(trial_of(name), "merged", output=tmp_path / "merged")
    assert done.largest_difference <= done.tolerance < done.adapter_effect / 10
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert merged.config.use_cache is True
    assert_close(exported.logits(merged), trained(name), rtol=0, atol=SAME_PRODUCTS)


@pytest.mark.parametrize("name", ROUNDED)
def test_a_merged_model_in_16_bit_is_as_good_as_its_weights(name, trial_of, tmp_path):
    done = export_trial(trial_of(name, "bf16"), "merged", output=tmp_path / "rounded")
    assert 0 < done.largest_difference <= done.tolerance
    weights = load_file(tmp_path / "rounded" / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.bfloat16}
    exact = export_trial(trial_of(name, "bf16"), "merged", output=tmp_path / "exact", dtype="fp32")
    assert exact.dtype == "fp32"
    assert exact.tolerance < done.tolerance / 1000
    for key, tensor in load_file(tmp_path / "exact" / "model.safetensors").items():
        assert_close(weights[key].float(), tensor, rtol=2**-7, atol=1e-3, msg=key)


@pytest.mark.parametrize("name", LOADED)
@each_precision
def test_a_copy_in_pefts_format_is_the_adapter(name, precision, trial_of, world, tmp_path):
    if name == "qlora" and find_spec("bitsandbytes") is None:
        pytest.skip("bitsandbytes is not installed")
    found = trial_of(name, precision)
    done = export_trial(found, "peft", output=tmp_path / "peft")
    assert done.largest_difference <= done.tolerance < done.adapter_effect / 100
    copy, original = (
        load_file(folder / "adapter_model.safetensors")
        for folder in (tmp_path / "peft", found.trial.adapter)
    )
    assert_close(copy, original, rtol=0, atol=0)
    configs = [
        json.loads((folder / "adapter_config.json").read_text())
        for folder in (tmp_path / "peft", found.trial.adapter)
    ]
    assert configs[0].pop("base_model_name_or_path") == str(world / "model")
    configs[1].pop("base_model_name_or_path")
    assert configs[0] == configs[1]


@pytest.fixture(scope="module")
def refused(world):
    return SweepFolder.create(world / "sweeps", "refused", document=exported.DOCUMENT)


@pytest.mark.parametrize(
    ("name", "form"),
    [(name, "lora") for name in SPECS if name not in LORAS]
    + [(name, "merged") for name in SPECS if name not in MERGEABLE],
)
def test_what_a_method_cannot_be_exported_as_is_refused(name, form, refused, world, tmp_path):
    spec = SPECS[name]
    folder = exported.add(refused, exported.trial(spec, world), number=list(SPECS).index(name))
    message = rf"{spec.label} cannot be exported as {form}: .*; possible for this trial: peft"
    with pytest.raises(BadInputError, match=message):
        export_trial(FoundTrial(refused, folder), form, output=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_every_kind_of_method_is_among_those_above():
    assert {"lora", "masa", "masa-control"} <= set(LORAS)
    assert {"masa-router", "mosa"}.isdisjoint(LORAS)
    assert "masa-router" not in MERGEABLE
    assert set(LOADED) | set(ROUNDED) <= set(SPECS)


def test_trained_trials_are_exported(world):
    methods = {name: SPECS[name] for name in ("masa", "pissa", "lora-ga", "adalora")}
    assert scenarios.run(exported.train_all, 1, world, methods, "bf16", "trained") == [{}]
    sweep = SweepFolder(world / "sweeps" / "trained")
    folders = sweep.trial_folders()
    assert len(folders) == len(methods)
    for folder in folders:
        for form in EXPORT_FORMATS:
            done = export_trial(FoundTrial(sweep, folder), form)
            assert done.largest_difference <= done.tolerance < done.adapter_effect, done
            assert done.path == str(folder.path / "exports" / form)
            assert done.dtype == "bf16"


# Odd ones.


def gpt2(folder):
    config = GPT2Config(
        vocab_size=64,
        n_positions=64,
        n_embd=32,
        n_layer=2,
        n_head=2,
        bos_token_id=1,
        eos_token_id=2,
    )
    torch.manual_seed(3)
    return exported.write_model(folder, GPT2LMHeadModel(config).eval())


@pytest.mark.parametrize(
    ("spec", "targets"),
    [
        (MasaSpec(rank=4, experts=2, targets=("c_attn", "c_proj")), {"c_attn", "c_proj"}),
        (
            MasaSpec(rank=4, targets=("attn.c_proj",)),
            {"transformer.h.0.attn.c_proj", "transformer.h.1.attn.c_proj"},
        ),
        (LoraSpec(rank=3, alpha=5, targets=("c_attn", "c_fc")), {"c_attn", "c_fc"}),
    ],
    ids=["masa", "masa-one-of-two", "lora"],
)
# PEFT tells that a Conv1D of GPT-2 stores its weights the other way round, which LoRA's spec leaves
# to it; in an export it is written down.
@pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to False but:UserWarning:peft")
def test_a_conv1d_of_gpt2_is_exported(spec, targets, world, tmp_path):
    trial = exported.trial(spec, world).model_copy(update={"model": gpt2(tmp_path / "gpt2")})
    sweep = SweepFolder.create(tmp_path, "gpt2-1", document=exported.DOCUMENT)
    found = FoundTrial(sweep, exported.made(sweep, trial))
    for form in EXPORT_FORMATS:
        done = export_trial(found, form, output=tmp_path / form)
        assert done.largest_difference <= done.tolerance < done.adapter_effect / 100
    config = LoraConfig.from_pretrained(tmp_path / "lora")
    assert config.fan_in_fan_out is True
    assert config.target_modules == targets


def test_layers_of_several_ranks_have_them_in_the_file(trial_of, world, tmp_path):
    found = trial_of("adalora")
    adapter = tmp_path / "adapter"
    export_trial(found, "peft", output=adapter)
    tensors = load_file(adapter / "adapter_model.safetensors")
    # As AdaLoRA does it in training: singular values become zero, and all of them in one layer.
    first, second, third = sorted(name for name in tensors if "lora_E" in name)[:3]
    tensors[first][1:] = 0
    tensors[second][:] = 0
    tensors[third][0] = 0
    save_file(tensors, adapter / "adapter_model.safetensors", metadata={"format": "pt"})
    pruned = SweepFolder.create(tmp_path, "pruned", document=exported.DOCUMENT)
    folder = exported.add(pruned, exported.trial(SPECS["adalora"], world), number=0)
    adapter.rename(folder.adapter)
    done = export_trial(FoundTrial(pruned, folder), "lora", output=tmp_path / "lora")
    assert done.largest_difference <= done.tolerance < done.adapter_effect / 100
    config = LoraConfig.from_pretrained(tmp_path / "lora")
    names = [
        name.removeprefix("base_model.model.").removesuffix(".lora_E") for name in (first, third)
    ]
    rank = tensors[first].shape[0]
    assert config.rank_pattern == {names[0]: 1, names[1]: rank - 1}
    removed = second.removeprefix("base_model.model.").removesuffix(".lora_E")
    assert removed not in config.target_modules
    assert set(names) < config.target_modules


def injected(world, name):
    return SPECS[name].inject(exported.base_of(world), seed=0)


def test_an_adapter_of_another_kind_is_no_lora(world):
    with_dora: PeftModel = get_peft_model(
        exported.base_of(world), LoraConfig(use_dora=True, target_modules=["q_proj"])
    )
    messages = {
        "no LoRA: it is PEFT's DoraLinearVariant; .*format peft": with_dora,
        "adapts no linear layer, so it is no LoRA": injected(world, "prompt-tuning"),
        "is not a LoRA": injected(world, "masa-router"),
        "has no matrices A and B": injected(world, "hira"),
    }
    for message, model in messages.items():
        with pytest.raises(ValueError, match=message):
            lora_factors(model)
