"""An export gives the outputs of the trial's adapter, or is refused, whatever the method."""

from __future__ import annotations

import gc
import json
import stat
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch.testing import assert_close
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from sweeper.errors import BadInputError, DataError, ExportError
from sweeper.export import EXPORT_FORMATS, conversion, export_trial
from sweeper.export.probe import Probe, largest_difference
from sweeper.tracking import SweepFolder
from sweeper.trial_lookup import FoundTrial
from sweeper_adapters import lora_factors, set_task_ids
from sweeper_adapters.methods import LoraSpec, MasaSpec
from tests.adapters.specs import SPECS
from tests.sweeper import exported, scenarios, tiny

# A LoRA has its scale in B, and sums that a method forms in each pass were formed before. In five
# layers of width 32, with logits of up to 1, a few roundings of float32 come of it.
SAME_PRODUCTS = 1e-5
# In bfloat16 arithmetic, whose numbers below 1 are 2^-9 apart or more, an output may fall to the
# other side of a rounding, which the layers after it pass on.
TOLERANCE = {"fp32": SAME_PRODUCTS, "bf16": 2**-8}

LORAS = [name for name, spec in SPECS.items() if spec.exports_lora]
MERGEABLE = [name for name, spec in SPECS.items() if spec.is_mergeable]
# One of each way in which an adapter is loaded.
LOADED = ["lora", "masa-both", "mosa", "loramoe", "mtl-lora-tasks", "qlora", "prompt-tuning"]
# One of each way in which a merged weight is made.
ROUNDED = ["lora", "masa", "mosa-col", "dora"]

IDS = torch.tensor([[1, 5, 7, 3, 9, 4, 4, 6], [1, 8, 2, 2, 5, 6, 11, 12]])

each_precision = pytest.mark.parametrize("precision", ["fp32", "bf16"])


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = exported.make_world(tmp_path_factory.mktemp("world"))
    # As `load_base` does it: an export collects garbage, and would walk through all of torch.
    gc.collect()
    gc.freeze()
    yield root
    gc.unfreeze()


@pytest.fixture(scope="module")
def trial_of(world):
    """Returns the function that has a complete trial of an example."""
    found: dict[tuple[str, str], FoundTrial] = {}
    sweeps = {
        precision: SweepFolder.create(world / "sweeps", precision, document=exported.DOCUMENT)
        for precision in ("fp32", "bf16")
    }

    def trial(name, precision="fp32"):
        if (name, precision) not in found:
            spec = exported.trial(SPECS[name], world, precision=precision)
            sweep = sweeps[precision]
            folder = exported.made(sweep, spec, number=list(SPECS).index(name))
            found[name, precision] = FoundTrial(sweep, folder)
        return found[name, precision]

    return trial


def base_of(world, precision="fp32"):
    return exported.trial(SPECS["lora"], world).model.load(precision).model


def adapted(world, folder, precision="fp32"):
    return PeftModel.from_pretrained(base_of(world, precision), folder)


@torch.no_grad()
def logits(model):
    model.eval()
    set_task_ids(model, torch.tensor([0, 1]))
    return model(input_ids=IDS, attention_mask=torch.ones_like(IDS)).logits


def leftovers(folder):
    return sorted(path.name for path in folder.parent.iterdir() if path != folder)


# Each format, of all methods that there are.


@pytest.mark.parametrize("name", LORAS)
@each_precision
def test_a_lora_has_the_outputs_of_the_method(name, precision, trial_of, world, tmp_path):
    found = trial_of(name, precision)
    done = export_trial(found, "lora", output=tmp_path / "lora")
    assert done.largest_difference <= done.tolerance < done.adapter_effect / 100

    config = LoraConfig.from_pretrained(tmp_path / "lora")
    assert config.peft_type == "LORA"
    assert config.lora_alpha == config.r
    assert config.alpha_pattern == config.rank_pattern
    trained = logits(adapted(world, found.trial.adapter, precision))
    lora = logits(adapted(world, tmp_path / "lora", precision))
    assert lora.dtype == {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    assert_close(lora, trained, rtol=0, atol=TOLERANCE[precision])
    assert (lora - logits(base_of(world, precision))).abs().max() > 2 * TOLERANCE[precision]


@pytest.mark.parametrize("name", MERGEABLE)
def test_a_merged_model_has_the_outputs_of_the_method(name, trial_of, world, tmp_path):
    found = trial_of(name)
    done = export_trial(found, "merged", output=tmp_path / "merged")
    assert done.largest_difference <= done.tolerance < done.adapter_effect / 10
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert merged.config.use_cache is True
    trained = logits(adapted(world, found.trial.adapter))
    assert_close(logits(merged), trained, rtol=0, atol=SAME_PRODUCTS)


@pytest.mark.parametrize("name", ROUNDED)
def test_a_merged_model_in_16_bit_is_as_good_as_its_weights(name, trial_of, world, tmp_path):
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


@pytest.mark.parametrize("form", EXPORT_FORMATS)
@pytest.mark.parametrize("name", SPECS)
def test_what_a_method_cannot_be_exported_as_is_refused(name, form, world, tmp_path):
    spec = SPECS[name]
    if form == "peft" or {"lora": spec.exports_lora, "merged": spec.is_mergeable}[form]:
        return
    sweep = SweepFolder.create(tmp_path, "refused", document=exported.DOCUMENT)
    folder = exported.add(sweep, exported.trial(spec, world), number=0)
    message = rf"{spec.name} cannot be exported as {form}: .*; possible for this trial: peft"
    with pytest.raises(BadInputError, match=message):
        export_trial(FoundTrial(sweep, folder), form, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_left_out_above_is_tested_here():
    # A spec that says it is a LoRA, or mergeable, is in the lists that the tests above go through.
    assert {"lora", "masa", "masa-control"} <= set(LORAS)
    assert {"masa-router", "mosa", "dora"}.isdisjoint(LORAS)
    assert {"masa-router", "prompt-tuning"}.isdisjoint(MERGEABLE)
    assert set(LOADED) <= set(SPECS)


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


def test_an_adapter_of_another_kind_is_no_lora(world):
    model = get_peft_model(base_of(world), LoraConfig(use_dora=True, target_modules=["q_proj"]))
    with pytest.raises(ValueError, match=r"no LoRA: it is PEFT's DoraLinearVariant; .*format peft"):
        lora_factors(model)
    model = SPECS["prompt-tuning"].inject(base_of(world), seed=0)
    with pytest.raises(ValueError, match="adapts no linear layer, so it is no LoRA"):
        lora_factors(model)
    model = SPECS["masa-router"].inject(base_of(world), seed=0)
    with pytest.raises(ValueError, match="is not a LoRA"):
        lora_factors(model)
    model = SPECS["hira"].inject(base_of(world), seed=0)
    with pytest.raises(ValueError, match="has no matrices A and B"):
        lora_factors(model)


# Files.


RUN_THE_CARDS = """
import json, os, re, sys
import torch
found = {}
for form in ("lora", "merged", "peft"):
    os.chdir(os.path.join(sys.argv[1], form))
    text = open("README.md", encoding="utf-8").read()
    [code] = re.findall(r"```python\\n(.*?)```", text, re.DOTALL)
    names = {}
    exec(code, names)
    if form != "peft":
        assert not [name for name in sys.modules if name.startswith("sweeper")], form
    ids = torch.tensor(json.loads(sys.argv[2]))
    with torch.no_grad():
        found[form] = names["model"].eval()(input_ids=ids).logits
    assert len(names["tokenizer"]("1+1=")["input_ids"]) >= 4
torch.save(found, os.path.join(sys.argv[1], "logits.pt"))
"""


def test_the_code_of_the_cards_loads_the_exports(trial_of, world, tmp_path):
    found = trial_of("masa-both")
    for form in EXPORT_FORMATS:
        export_trial(found, form, output=tmp_path / form)
    command = [sys.executable, "-c", RUN_THE_CARDS, str(tmp_path), json.dumps(IDS.tolist())]
    subprocess.run(command, check=True, timeout=200, cwd=tmp_path, capture_output=True)
    trained = logits(adapted(world, found.trial.adapter))
    for form, output in torch.load(tmp_path / "logits.pt").items():
        assert_close(output, trained, rtol=0, atol=SAME_PRODUCTS, msg=form)


def card(done):
    return (Path(done.path) / "README.md").read_text(encoding="utf-8")


def test_a_card_says_what_it_is(trial_of, world, tmp_path):
    found = trial_of("mtl-lora-tasks")
    found.sweep.note_base({"eval_loss": 2.5})
    text = card(export_trial(found, "peft", output=tmp_path / "peft"))
    assert text.startswith("---\nlibrary_name: peft\n")
    assert f"# fp32, trial {found.record.number}: mtl_lora" in text
    assert f"`{world / 'model'}`" in text
    assert "| eval_loss | 1.00 ± 0.10 | 2.5 |" in text
    assert "| accuracy | 0.5 | not scored |" in text
    assert "accuracy_se" not in text
    assert "they are 0 (letter), 1 (sum)" in text
    assert "with transformers, peft, masa-mosa-sweeper installed" in text
    assert "  rank: 4" in text
    assert f"peft {exported.version('peft')}" in text


def test_a_card_prepares_the_base_where_the_method_does(trial_of, tmp_path):
    pytest.importorskip("bitsandbytes")
    text = card(export_trial(trial_of("qlora-fp4"), "peft", output=tmp_path / "peft"))
    assert "from sweeper_adapters.methods import QloraSpec" in text
    prepare = "QloraSpec(rank=4, quantisation='fp4', double_quantisation=False).prepare_base(model)"
    assert prepare in text


def test_an_export_says_what_it_wrote(trial_of, tmp_path):
    done = export_trial(trial_of("masa"), "lora", output=tmp_path / "lora")
    files = sorted(path.name for path in (tmp_path / "lora").iterdir())
    assert list(done.files) == files
    assert files == ["README.md", "adapter_config.json", "adapter_model.safetensors"]
    assert done.bytes == sum(path.stat().st_size for path in (tmp_path / "lora").iterdir())
    assert (done.trial, done.sweep, done.method) == (trial_of("masa").trial.id, "fp32", "masa")
    assert json.loads(json.dumps(done.document()))["format"] == "lora"
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "lora").iterdir()}
    assert len(modes) == 1
    assert leftovers(tmp_path / "lora") == []


def test_a_folder_that_is_not_empty_is_refused(trial_of, tmp_path):
    found = trial_of("lora")
    (tmp_path / "empty").mkdir()
    export_trial(found, "peft", output=tmp_path / "empty")
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "README.md").write_text("# masa-mosa-sweeper\n\n---\nnot: an export\n---\n")
    with pytest.raises(BadInputError, match=r"taken is not empty; .*--output, .*--overwrite"):
        export_trial(found, "peft", output=taken)
    with pytest.raises(BadInputError, match="taken holds something else than an earlier export"):
        export_trial(found, "peft", output=taken, is_overwriting=True)
    (tmp_path / "empty" / ".git").mkdir()
    with pytest.raises(BadInputError, match="empty holds something else than an earlier export"):
        export_trial(found, "peft", output=tmp_path / "empty", is_overwriting=True)
    with pytest.raises(BadInputError, match="adapter holds something else than an earlier export"):
        export_trial(found, "peft", output=found.trial.adapter, is_overwriting=True)
    assert [path.name for path in taken.iterdir()] == ["README.md"]


def test_an_earlier_export_is_replaced_when_asked(trial_of, tmp_path):
    found = trial_of("lora")
    out = tmp_path / "out"
    export_trial(found, "merged", output=out)
    export_trial(found, "lora", output=out, is_overwriting=True)
    assert not (out / "config.json").exists()
    assert (out / "adapter_config.json").is_file()
    assert leftovers(out) == []


# What goes wrong leaves nothing behind.


@pytest.mark.parametrize(
    ("form", "writer"), [("lora", "write_lora"), ("peft", "write_peft"), ("merged", "write_merged")]
)
def test_an_export_with_other_outputs_is_not_kept(
    form, writer, trial_of, world, tmp_path, monkeypatch
):
    original = getattr(conversion, writer)

    def spoil(*arguments, **options):
        original(*arguments, **options)
        [path] = tmp_path.glob(".out.*/*.safetensors")
        tensors = load_file(path)
        name = next(name for name in sorted(tensors) if "down_proj" in name)
        tensors[name] *= 1.01
        save_file(tensors, path, metadata={"format": "pt"})

    monkeypatch.setattr(conversion, writer, spoil)
    found = trial_of("masa")
    message = rf"trial 1 \(masa, .*\) of sweep fp32: as {form} its logits .* differ by"
    with pytest.raises(ExportError, match=message):
        export_trial(found, form, output=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (KeyboardInterrupt, pytest.raises(KeyboardInterrupt)),
        (OSError("disk full"), pytest.raises(ExportError, match=r"out failed: disk full; noth")),
    ],
    ids=["interrupt", "disk"],
)
def test_an_export_that_breaks_off_leaves_what_was_there(
    error, shown, trial_of, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    export_trial(trial_of("lora"), "lora", output=out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def stop(*arguments, **options):
        raise error

    monkeypatch.setattr(conversion.Conversion, "_found", stop)
    with shown:
        export_trial(trial_of("masa"), "lora", output=out, is_overwriting=True)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert leftovers(out) == []


def test_a_method_that_merges_wrongly_is_found_out_in_16_bit_too(trial_of, tmp_path, monkeypatch):
    from sweeper_adapters import MasaLinear

    original = MasaLinear.delta
    # A hundredth of the update: less than bfloat16 makes of the weights.
    monkeypatch.setattr(MasaLinear, "delta", lambda *arguments: original(*arguments) * 1.01)
    with pytest.raises(ExportError, match="merged in float32 the adapter's logits differ by"):
        export_trial(trial_of("masa", "bf16"), "merged", output=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_broken_adapter_is_not_exported(trial_of, world, tmp_path):
    sweep = SweepFolder.create(tmp_path, "broken", document=exported.DOCUMENT)
    spec = exported.trial(SPECS["masa"], world)
    found = FoundTrial(sweep, exported.made(sweep, spec))
    path = found.trial.adapter / "adapter_model.safetensors"
    tensors = load_file(path)
    next(iter(tensors.values())).fill_(float("nan"))
    save_file(tensors, path, metadata={"format": "pt"})
    for form in EXPORT_FORMATS:
        with pytest.raises(ExportError, match="logits that are no finite numbers"):
            export_trial(found, form, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_trial_without_an_adapter_says_why(trial_of, world, tmp_path):
    sweep = SweepFolder.create(tmp_path, "failed", document=exported.DOCUMENT)
    spec = exported.trial(SPECS["masa"], world)
    folder = exported.add(sweep, spec, number=7)
    found = FoundTrial(sweep, folder)
    with pytest.raises(BadInputError, match=r"is queued and has no adapter; .* no trial of it has"):
        export_trial(found, "peft")
    folder.begin()
    folder.fail("DivergedError", "the training loss is nan")
    exported.made(sweep, spec, number=8)
    message = (
        r"trial 7 \(masa, 000000000007\) of sweep failed is failed \(DivergedError: the training "
        r"loss is nan\) and has no adapter; .*; export another one: 000000000008"
    )
    with pytest.raises(BadInputError, match=message):
        export_trial(found, "peft")


def test_a_dtype_is_for_merged_models(trial_of):
    for form in ("peft", "lora"):
        with pytest.raises(BadInputError, match=f"dtype: got bf16 for format {form}; .*merged"):
            export_trial(trial_of("lora"), form, dtype="bf16")


def test_a_trial_of_another_version_is_told(world, tmp_path):
    sweep = SweepFolder.create(tmp_path, "old", document=exported.DOCUMENT)
    folder = sweep.add_trial("0" * 12, spec={"method": {"name": "gone"}}, number=0, method="gone")
    with pytest.raises(BadInputError, match=r"its spec.json is not one of this version \(\d prob"):
        export_trial(FoundTrial(sweep, folder), "peft")


# The comparison.


def test_a_difference_that_is_no_number_exceeds_every_bound():
    one, other = [torch.tensor([[1.0, 2.0]])], [torch.tensor([[1.5, 2.25]])]
    assert largest_difference(one, other) == 0.5
    assert largest_difference(one, [torch.tensor([[1.0, float("nan")]])]) == float("inf")
    assert largest_difference(one, [torch.tensor([[1.0, 2.0, 3.0]])]) == float("inf")
    assert largest_difference(one, []) == float("inf")


def test_validation_prompts_are_compared(world):
    trial = exported.trial(SPECS["lora"], world)
    splits = trial.data.load()
    probe = Probe(trial, splits, tiny.tokenizer())
    assert probe.prompts == 4
    assert all(len(found) <= 16 for found in probe.logits(base_of(world)))
    empty = type(splits)(splits.train, (), splits.test)
    with pytest.raises(DataError, match="the validation split of the trial's data is empty"):
        Probe(trial, empty, tiny.tokenizer())
