"""The files of a model folder, looked at by their first bytes."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweeper._text import count, shorten
from sweeper.errors import BadInputError, MissingError
from sweeper.models.reading import read_config, reading, require_no_pointer

__all__ = ["find_weights", "read_headers", "require_intact"]

# In transformers' order: the first that is there is read.
_SINGLE = "model.safetensors"
_SHARDED = "model.safetensors.index.json"
_OLD_SINGLE = "pytorch_model.bin"
_OLD_SHARDED = "pytorch_model.bin.index.json"
_REMEDY = "fetch or save the model again"

_TOKENIZERS = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tekken.json",
)


def require_intact(folder: Path) -> tuple[Path, ...]:
    """Looks whether the files of a model folder are there and begin and end as they should.

    Weights are not read: a file of safetensors tells in its header how long it is.

    Args:
        folder: with config.json, weights and a tokenizer.

    Returns:
        The files of weights that transformers would load.

    Raises:
        MissingError: a file is missing, or only its Git LFS pointer is there.
        BadInputError: a file is damaged, or the folder holds an adapter besides.
    """
    config = read_config(folder)
    with reading(f"the model folder {folder}", remedy="make it readable"):
        names = sorted(path.name for path in folder.iterdir())
    if "adapter_config.json" in names:
        raise BadInputError(
            f"the model folder {folder} has an adapter_config.json, so transformers would load "
            "that PEFT adapter into the model; a base must have no adapter; merge it "
            "(merge_and_unload) and save the result, or move the adapter's files elsewhere"
        )
    for name in names:
        if (folder / name).is_file():
            require_no_pointer(folder / name)
    files = find_weights(folder, config)
    for path in files:
        _require_file(path)
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise _lacks(folder, "a tokenizer")
    return files


def find_weights(folder: Path, config: Mapping[str, Any]) -> tuple[Path, ...]:
    """Returns the files of weights that transformers loads from a folder.

    Args:
        folder: of the model.
        config: content of its config.json.

    Raises:
        MissingError: there are none, or a shard of them is missing.
        BadInputError: the index of the shards cannot be read.
    """
    named = config.get("transformers_weights")
    if isinstance(named, str):
        return _shards(folder, named) if named.endswith(".json") else (_part(folder, named),)
    for name in (_SINGLE, _SHARDED, _OLD_SINGLE, _OLD_SHARDED):
        if (folder / name).is_file():
            return _shards(folder, name) if name.endswith(".json") else (folder / name,)
    raise _lacks(folder, "weights")


def _lacks(folder: Path, what: str) -> MissingError:
    return MissingError(
        f"the model folder {folder} lacks {what}; it needs config.json, weights "
        f"({_SINGLE} or {_OLD_SINGLE}, or their shards with an index) and a tokenizer; save model "
        "and tokenizer there with save_pretrained"
    )


def _shards(folder: Path, name: str) -> tuple[Path, ...]:
    index = folder / name
    with reading(str(index), remedy=_REMEDY):
        parts = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
        if not parts:
            raise ValueError("it names no file")
        paths = [folder / part for part in parts]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise MissingError(
            f"{index} names {count(len(paths), 'file')} of weights, but {shorten(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing; all must be in {folder}; {_REMEDY}"
        )
    return tuple(_part(folder, part) for part in parts)


def _part(folder: Path, name: str) -> Path:
    path = folder / name
    if path.resolve().parent != folder.resolve() and not path.is_symlink():
        raise BadInputError(
            f"{folder} names {shorten(repr(name))} as a file of weights, which is outside of the "
            f"folder; weights must be in it; {_REMEDY}"
        )
    if not path.is_file():
        raise _lacks(folder, f"the file {shorten(repr(name))} that its config.json names")
    return path


def _require_file(path: Path) -> None:
    if path.suffix == ".safetensors":
        read_headers(path)
        return
    with reading(str(path), remedy=_REMEDY):
        with path.open("rb") as file:
            head = file.read(2)
        # torch writes a zip archive, whose end says what is in it; before 1.6 a plain pickle.
        if zipfile.is_zipfile(path) or head[:1] == b"\x80":
            return
        size = path.stat().st_size
        raise ValueError(f"its {size:,} bytes are neither a whole zip archive nor a pickle")


def read_headers(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Returns dtype (safetensors' name of it) and shape of each tensor in a file of safetensors.

    Args:
        path: of the file.

    Raises:
        BadInputError: the header is damaged, or the file is not as long as it says.
    """
    with reading(f"the weights in {path}", remedy=_REMEDY):
        from safetensors import safe_open

        with safe_open(path, framework="numpy") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            return {name: (x.get_dtype(), tuple(x.get_shape())) for name, x in slices.items()}
