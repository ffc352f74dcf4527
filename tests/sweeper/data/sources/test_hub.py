"""The Hub's data sets, tried on a local folder of their layout."""

import json

import pytest

from sweeper.data import HubDataSpec
from sweeper.errors import DataError, MissingError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    made = tmp_path / "tiny"
    made.mkdir()
    for split, count in (("train", 30), ("test", 5)):
        lines = [json.dumps({"prompt": f"{split} {n}", "answer": str(n)}) for n in range(count)]
        (made / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return made


def test_load(folder):
    splits = HubDataSpec(name=str(folder), validation_fraction=0.2).load()
    assert [len(splits.train), len(splits.validation), len(splits.test)] == [24, 6, 5]
    assert splits.test[4].prompt == "test 4"


def test_unknown_split_and_fields(folder):
    with pytest.raises(DataError, match=r"no split 'dev'; its splits are train, test"):
        HubDataSpec(name=str(folder), train_split="dev").load()
    spec = HubDataSpec.model_validate(
        {"name": str(folder), "format": {"name": "fields", "prompt": "{question}"}}
    )
    with pytest.raises(DataError, match=r"no field 'question'; its fields are answer, prompt"):
        spec.load()


def test_the_fingerprint_follows_content_or_revision(folder):
    before = HubDataSpec(name=str(folder)).fingerprint()
    (folder / "test.jsonl").write_text('{"prompt": "a", "answer": "b"}\n')
    assert HubDataSpec(name=str(folder)).fingerprint() != before
    named = HubDataSpec(name="acme/tiny")
    assert named.fingerprint() == named.fingerprint()
    assert named.fingerprint() != HubDataSpec(name="acme/tiny", revision="v2").fingerprint()


def test_missing_data_names_the_command(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    spec = HubDataSpec(name="acme/tiny")
    with pytest.raises(MissingError, match=r"hf download --repo-type dataset .*acme/tiny"):
        spec.require_available()
    with pytest.raises(MissingError, match=r"hf download --repo-type dataset .*acme/tiny"):
        spec.load()
