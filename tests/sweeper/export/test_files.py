"""What an export's folder holds, what its card says, and what is left where it goes wrong."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from sweeper.analysis.lookup import FoundTrial
from sweeper.data import Splits
from sweeper.errors import AdapterError, BadInputError, DataError, ExportError
from sweeper.evaluation.adapter import note_digests
from sweeper.experiment.trial import TrialSpec
from sweeper.export import EXPORT_FORMATS, conversion, export_trial
from sweeper.export.card import Card
from sweeper.export.formats import write_peft
from sweeper.export.probe import Probe, largest_difference
from sweeper.models import ModelSource
from sweeper.tracking.final_result import FINAL_FILE, FinalResult, write_final
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper_adapters import MasaLinear
from tests.adapters.specs import SPECS
from tests.sweeper import exported, tiny
from tests.sweeper.full_disk import small_files

# As in test_methods.py.
SAME_PRODUCTS = 1e-5


def leftovers(folder):
    return sorted(path.name for path in folder.parent.iterdir() if path != folder)


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


@pytest.mark.whole
def test_the_code_of_the_cards_loads_the_exports(trial_of, world, tmp_path):
    found = trial_of("masa-both")
    for form in EXPORT_FORMATS:
        export_trial(found, form, output=tmp_path / form)
    command = [
        sys.executable,
        "-c",
        RUN_THE_CARDS,
        str(tmp_path),
        json.dumps(exported.IDS.tolist()),
    ]
    subprocess.run(command, check=True, timeout=200, cwd=tmp_path, capture_output=True)
    trained = exported.logits(exported.adapted(world, found.trial.adapter))
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


def test_a_card_tells_the_test_score_before_the_one_that_chose(trial_of, tmp_path):
    found = trial_of("lora")
    final = FinalResult(
        split="test",
        rows=20,
        rows_in_split=30,
        metrics={"eval_loss": 1.5, "eval_loss_se": 0.2, "letter/exact": 0.5},
        data_fingerprint="0123abcd",
    )
    write_final(found.trial.path, final)
    try:
        text = card(export_trial(found, "lora", output=tmp_path / "lora"))
    finally:
        # Other tests share the trial.
        (found.trial.path / FINAL_FILE).unlink()
    head, _, rest = text.partition("On 20 of 30 test examples, after the search; no trial was")
    assert "| eval_loss | 1.50 ± 0.20 | not scored |" in head
    assert "letter/exact" not in text
    assert "| eval_loss | 1.00 ± 0.10 |" in rest
    assert "    prompt: " in rest.partition("On this data:")[2]
    assert "Fingerprint of its rows: `0123abcd`." in rest


def test_a_card_names_a_model_of_the_hub(trial_of, tmp_path):
    found = trial_of("lora")
    card = Card(
        found=found,
        trial=TrialSpec.model_validate(found.trial.spec()),
        form="peft",
        source=ModelSource("owner/name", "abc"),
        dtype="bf16",
        domains=("",),
        check="Checked.",
    )
    write_peft(found.trial.adapter, tmp_path, source=card.source)
    card.write(tmp_path)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert text.startswith("---\nbase_model: owner/name\nlibrary_name: peft\n")
    assert "| base model | `owner/name`, revision `abc` |" in text
    assert 'from_pretrained(base, dtype="bfloat16", revision="abc")' in text
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == ("owner/name", "abc")


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
    with pytest.raises(BadInputError, match="taken is not an earlier export"):
        export_trial(found, "peft", output=taken, is_overwriting=True)
    (tmp_path / "empty" / ".git").mkdir()
    with pytest.raises(BadInputError, match="empty is not an earlier export"):
        export_trial(found, "peft", output=tmp_path / "empty", is_overwriting=True)
    with pytest.raises(BadInputError, match="adapter is not an earlier export"):
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
    message = rf"trial \d+ \(masa, .*\) of sweep fp32: as {form} its logits .* differ by"
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


def test_an_export_without_room_leaves_nothing(trial_of, tmp_path):
    out, found = tmp_path / "out", trial_of("lora")
    with small_files(20_000), pytest.raises(ExportError, match=r"out failed: .*File too large"):
        export_trial(found, "merged", output=out)
    assert not out.exists()
    assert leftovers(out) == []


def test_what_a_killed_export_left_is_removed_by_the_next_one(trial_of, tmp_path):
    left = tmp_path / f".other.{'0' * 32}.unfinished"
    left.mkdir()
    (left / "model.safetensors").write_bytes(bytes(1000))
    left.with_suffix(".writing").touch()
    export_trial(trial_of("lora"), "peft", output=tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_place_that_cannot_be_written_is_told_before_anything_is(trial_of, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BadInputError, match=r"output: .*file/out cannot be made \(File exists"):
        export_trial(trial_of("lora"), "peft", output=tmp_path / "file" / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_method_that_merges_wrongly_is_found_out_in_16_bit_too(trial_of, tmp_path, monkeypatch):
    original = MasaLinear.delta
    # A hundredth of the update: less than bfloat16 makes of the weights.
    monkeypatch.setattr(MasaLinear, "delta", lambda *arguments: original(*arguments) * 1.01)
    with pytest.raises(ExportError, match="merged in float32 the adapter's logits differ by"):
        export_trial(trial_of("masa", "bf16"), "merged", output=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (float("nan"), AdapterError, "masa_A.weight has values that are NaN or infinite"),
        # Its products are more than float32 holds.
        (1e38, ExportError, "logits that are NaN or infinite"),
    ],
)
def test_a_broken_adapter_is_not_exported(value, error, message, world, tmp_path):
    sweep = SweepFolder.create(tmp_path, "broken", document=exported.DOCUMENT)
    spec = exported.trial(SPECS["masa"], world)
    found = FoundTrial(sweep, exported.made(sweep, spec))
    path = found.trial.adapter / "adapter_model.safetensors"
    tensors = load_file(path)
    next(iter(tensors.values())).fill_(value)
    save_file(tensors, path, metadata={"format": "pt"})
    # Training wrote these.
    note_digests(path.parent)
    for form in EXPORT_FORMATS:
        with pytest.raises(error, match=message):
            export_trial(found, form, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_empty_adapter_is_not_exported(world, tmp_path):
    sweep = SweepFolder.create(tmp_path, "empty", document=exported.DOCUMENT)
    spec = exported.trial(SPECS["lora"], world)
    found = FoundTrial(sweep, exported.made(sweep, spec))
    save_file({}, found.trial.adapter / "adapter_model.safetensors", metadata={"format": "pt"})
    for form in EXPORT_FORMATS:
        with pytest.raises(AdapterError, match=r"is missing, .* more like it; .*train the trial"):
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
        r"loss is nan\) and has no adapter; .*; name another one: 000000000008"
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
    with pytest.raises(BadInputError, match=r"does not fit this version \(spec.method: "):
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
    assert all(len(found) <= 16 for found in probe.logits(exported.base_of(world)))
    of_two_tasks = exported.trial(SPECS["mtl-lora-tasks"], world)
    unnamed = tuple(replace(example, domain="") for example in splits.validation)
    with pytest.raises(DataError, match=r"not what the trial was trained on: mtl_lora: tasks is 2"):
        Probe(of_two_tasks, Splits(unnamed, unnamed, unnamed), tiny.tokenizer())
    empty = Splits(splits.train, (), splits.test)
    with pytest.raises(DataError, match="the validation split of the trial's data is empty"):
        Probe(trial, empty, tiny.tokenizer())
