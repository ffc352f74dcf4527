"""The files of a model folder: there, whole, and of nothing but a model."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sweeper.errors import BadInputError
from sweeper.models import FolderModelSpec
from sweeper.models.inspection.checkpoint import find_weights, read_headers, require_intact
from tests.sweeper import tiny

WEIGHTS = "model.safetensors"


def _sharded(folder: Path) -> Path:
    tiny.model().save_pretrained(folder, max_shard_size="40KB")
    tiny.tokenizer().save_pretrained(folder)
    return folder


def test_a_whole_folder(tmp_path: Path) -> None:
    assert require_intact(tiny.saved(tmp_path / "one")) == (tmp_path / "one" / WEIGHTS,)
    shards = require_intact(_sharded(tmp_path / "many"))
    assert len(shards) > 2
    names = [name for shard in shards for name in read_headers(shard)]
    assert len(names) == len(set(names)) == len(read_headers(tmp_path / "one" / WEIGHTS))


def test_old_weights(tmp_path: Path) -> None:
    folder = tiny.saved(tmp_path)
    (folder / WEIGHTS).unlink()
    old = folder / "pytorch_model.bin"
    torch.save(tiny.model().state_dict(), old)
    assert require_intact(folder) == (old,)
    FolderModelSpec(path=str(folder)).inspect(max_length=16)
    old.write_bytes(old.read_bytes()[: old.stat().st_size // 2])
    with pytest.raises(BadInputError, match="neither a whole zip archive nor a pickle"):
        require_intact(folder)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "pointer": (
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\nsize 1\n"),
        "is a Git LFS pointer",
    ),
    "empty": (lambda path: path.write_bytes(b""), "cannot be read .*fetch or save"),
    "page": (lambda path: path.write_text("<html>" * 99), "cannot be read .*fetch or save"),
    "cut": (_cut, "cannot be read .*fetch or save"),
    "longer": (lambda path: path.write_bytes(path.read_bytes() + b"x"), "cannot be read"),
    "gone": (lambda path: path.unlink(), "lacks weights"),
    "pipe": (_pipe, "lacks weights"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_weights_are_told_before_anything_is_loaded(tmp_path: Path, name: str) -> None:
    folder = tiny.saved(tmp_path)
    damage, message = DAMAGES[name]
    damage(folder / WEIGHTS)
    with pytest.raises(BadInputError, match=message) as told:
        FolderModelSpec(path=str(folder)).require_available()
    assert str(folder) in str(told.value)


def test_a_missing_shard(tmp_path: Path) -> None:
    folder = _sharded(tmp_path)
    shard = require_intact(folder)[1]
    shard.unlink()
    with pytest.raises(BadInputError, match=rf"{shard.name}.* is missing"):
        require_intact(folder)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"weight_map": {}}', '{"weight_map": [1]}'])
def test_a_damaged_index(tmp_path: Path, content: str) -> None:
    folder = _sharded(tmp_path)
    (folder / f"{WEIGHTS}.index.json").write_text(content)
    with pytest.raises(BadInputError, match=r"index\.json cannot be read"):
        require_intact(folder)


def test_weights_outside_of_the_folder(tmp_path: Path) -> None:
    folder = tiny.saved(tmp_path / "model")
    (folder / WEIGHTS).rename(tmp_path / WEIGHTS)
    with pytest.raises(BadInputError, match="outside of the folder"):
        find_weights(folder, {"transformers_weights": f"../{WEIGHTS}"})
    index = folder / f"{WEIGHTS}.index.json"
    index.write_text(json.dumps({"weight_map": {"a": f"../{WEIGHTS}"}}))
    with pytest.raises(BadInputError, match="outside of the folder"):
        require_intact(folder)


def test_an_adapter_beside_the_model(tmp_path: Path) -> None:
    """Transformers would load it into the base without a word."""
    from peft import LoraConfig, get_peft_model

    folder = tiny.saved(tmp_path)
    get_peft_model(tiny.model(), LoraConfig(target_modules=["q_proj"])).save_pretrained(str(folder))
    spec = FolderModelSpec(path=str(folder))
    for ask in (spec.require_available, lambda: spec.load("fp32")):
        with pytest.raises(BadInputError, match=r"has an adapter_config\.json.*merge it"):
            ask()


def test_no_tokenizer(tmp_path: Path) -> None:
    tiny.model().save_pretrained(tmp_path)
    with pytest.raises(BadInputError, match="lacks a tokenizer"):
        require_intact(tmp_path)
