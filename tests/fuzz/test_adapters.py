"""Adapters damaged in any way are refused with a message, and the base stays as it was."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from sweeper.errors import AdapterError
from sweeper.evaluation.adapter import load_adapter
from sweeper.tracking.sweep_folder import SweepFolder
from tests.adapters.specs import SPECS
from tests.sweeper import exported

WHOLE = 40
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
# One of PEFT's, ones of ours with shared tensors and with a single one, and one without layers.
METHODS = ["lora", "masa-both", "mosa", "vblora", "prompt-tuning"]
# Fields that say where an adapter comes from; what they hold changes no output.
OF_NO_EFFECT = {"auto_mapping", "base_model_name_or_path", "inference_mode", "peft_version"}
OF_NO_EFFECT |= {"revision"}
# A message is a paragraph.
LONGEST = 2500

Damage = Callable[[random.Random, Path], None]


def _bytes_of(name: str, change: Callable[[random.Random, bytes], bytes]) -> Damage:
    def damage(draw: random.Random, folder: Path) -> None:
        path = folder / name
        path.write_bytes(change(draw, path.read_bytes()))

    return damage


def cut(draw: random.Random, content: bytes) -> bytes:
    return content[: draw.randrange(len(content) - 1)]


def empty(draw: random.Random, content: bytes) -> bytes:
    return b""


def nuls(draw: random.Random, content: bytes) -> bytes:
    return bytes(len(content))


def noise(draw: random.Random, content: bytes) -> bytes:
    return draw.randbytes(len(content))


def nuls_at_the_start(draw: random.Random, content: bytes) -> bytes:
    count = draw.randrange(8, 100)
    return bytes(count) + content[count:]


def nested(draw: random.Random, content: bytes) -> bytes:
    return b'{"r": ' + b"[" * 100_000


def a_list(draw: random.Random, content: bytes) -> bytes:
    return b"[" + content + b"]"


def _tensors(change: Callable[[random.Random, dict[str, torch.Tensor], str], None]) -> Damage:
    def damage(draw: random.Random, folder: Path) -> None:
        tensors = load_file(folder / WEIGHTS)
        change(draw, tensors, draw.choice(sorted(tensors)))
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})

    return damage


def rename_key(draw: random.Random, tensors: dict[str, torch.Tensor], key: str) -> None:
    tensors[draw.choice([f"{key}2", key[1:], key.upper(), "x"])] = tensors.pop(key)


def drop_key(draw: random.Random, tensors: dict[str, torch.Tensor], key: str) -> None:
    del tensors[key]


def drop_all(draw: random.Random, tensors: dict[str, torch.Tensor], key: str) -> None:
    tensors.clear()


def add_key(draw: random.Random, tensors: dict[str, torch.Tensor], key: str) -> None:
    tensors[f"{key}.more"] = tensors[key].clone()


def change_shape(draw: random.Random, tensors: dict[str, torch.Tensor], key: str) -> None:
    value = tensors[key]
    other = draw.choice(
        [value[:-1], value.unsqueeze(0), value.flatten()[:1], torch.cat([value] * 2)]
    )
    tensors[key] = other.clone().contiguous()


def change_dtype(draw: random.Random, tensors: dict[str, torch.Tensor], key: str) -> None:
    kinds = [torch.float16, torch.bfloat16, torch.float64, torch.int32, torch.bool]
    tensors[key] = tensors[key].to(draw.choice(kinds))


def break_value(draw: random.Random, tensors: dict[str, torch.Tensor], key: str) -> None:
    flat = tensors[key].view(-1)
    flat[draw.randrange(len(flat))] = draw.choice([float("nan"), float("inf"), float("-inf")])


def _fields(change: Callable[[random.Random, dict[str, Any], str], None]) -> Damage:
    def damage(draw: random.Random, folder: Path) -> None:
        content = json.loads((folder / CONFIG).read_text())
        change(draw, content, draw.choice(sorted(content.keys() - OF_NO_EFFECT)))
        (folder / CONFIG).write_text(json.dumps(content))

    return damage


def change_field(draw: random.Random, content: dict[str, Any], name: str) -> None:
    value = content[name]
    content[name] = draw.choice(
        [x for x in (not value, 7, -1.5, "x" * 5000, None, [], ["q"], {"a": 1}) if x != value]
    )


def add_field(draw: random.Random, content: dict[str, Any], name: str) -> None:
    content[f"{name}_2"] = content[name]


def change_kind(draw: random.Random, content: dict[str, Any], name: str) -> None:
    content["peft_type"] = draw.choice(["LORA2", "IA3", "lora", None, 3])


def remove(name: str) -> Damage:
    def damage(draw: random.Random, folder: Path) -> None:
        (folder / name).unlink()

    return damage


def a_folder(draw: random.Random, folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).mkdir()


DAMAGES: list[Damage] = [
    *(_bytes_of(WEIGHTS, x) for x in (cut, empty, nuls, noise, nuls_at_the_start)),
    *(_bytes_of(CONFIG, x) for x in (cut, empty, nuls, noise, nuls_at_the_start, nested, a_list)),
    *map(_tensors, (rename_key, drop_key, drop_all, add_key)),
    *map(_tensors, (change_shape, change_dtype, break_value)),
    *map(_fields, (change_field, change_field, change_field, add_field, change_kind)),
    *(remove(CONFIG), remove(WEIGHTS), a_folder),
]


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    """A base, and a trial with its adapter on it for each method."""
    root = exported.make_world(tmp_path_factory.mktemp("adapters"))
    sweep = SweepFolder.create(root / "sweeps", "whole", document=exported.DOCUMENT)
    specs = {name: exported.trial(SPECS[name], root) for name in METHODS}
    made = {
        name: exported.made(sweep, spec, number=number).adapter
        for number, (name, spec) in enumerate(specs.items())
    }
    return exported.base_of(root), specs, made


def contents(folder: Path) -> dict[str, bytes | None]:
    paths = sorted(folder.iterdir())
    return {path.name: None if path.is_dir() else path.read_bytes() for path in paths}


def test_a_damaged_adapter_is_refused_with_a_message(trials, share_of, tmp_path):
    base, specs, made = trials
    modules = dict(base.named_modules())
    tried = share_of(WHOLE)
    for seed in range(tried):
        draw = random.Random(9_000 + seed)
        name, damage = draw.choice(METHODS), draw.choice(DAMAGES)
        folder = tmp_path / str(seed)
        shutil.copytree(made[name], folder)
        damage(draw, folder)
        before = contents(folder)
        with pytest.raises(AdapterError, match=r"restore them from a copy, or train") as caught:
            load_adapter(specs[name], base, folder)
        message = str(caught.value)
        assert str(folder / CONFIG) in message or str(folder / WEIGHTS) in message, seed
        assert len(message) <= LONGEST, seed
        assert "\n" not in message, seed
        assert contents(folder) == before
    assert tried >= 1
    assert dict(base.named_modules()) == modules


@pytest.mark.parametrize("name", METHODS)
def test_one_that_is_whole_is_loaded(trials, name, tmp_path):
    _, specs, made = trials
    model = load_adapter(specs[name], specs[name].model.load("fp32").model, made[name])
    assert model.active_adapter == "default"
