"""The boundary of reading models: what libraries raise becomes a message with file and remedy."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path

import pytest

from sweeper._text import shorten
from sweeper.errors import BadInputError, DataError
from sweeper.models import FolderModelSpec, GgufModelSpec
from sweeper.models.embedded import MODEL_FOLDER
from sweeper.models.reading import (
    content_hash,
    local_path,
    read_config,
    reading,
    require_no_pointer,
)


class PanicException(BaseException):
    """Named as what a library written in Rust raises; no Exception either."""


@pytest.mark.parametrize("error", [KeyError("x"), RecursionError("deep"), PanicException("oh")])
def test_whatever_is_raised_has_subject_reason_and_remedy(error: BaseException) -> None:
    message = r"^the file x cannot be read \(\w+: .*\); mend it$"
    with pytest.raises(BadInputError, match=message), reading("the file x", remedy="mend it"):
        raise error


def test_own_errors_and_the_end_of_the_process_pass() -> None:
    for error in (DataError("mine"), KeyboardInterrupt(), SystemExit()):
        with pytest.raises(type(error)), reading("x", remedy="y"):
            raise error


def test_a_long_reason_is_cut_in_its_middle() -> None:
    with pytest.raises(BadInputError) as told, reading("x", remedy="y"):
        raise ValueError("a" * 50_000 + "end")
    assert len(str(told.value)) < 400
    assert "end" in str(told.value)
    assert shorten("a  b\n c") == "a b c"
    assert len(shorten("x" * 1000, limit=100)) == 100


BAD_CONFIGS: dict[str, bytes] = {
    "nothing": b"",
    "half": b'{"model_type": ',
    "list": b"[1]",
    "nulls": b"\0" * 64,
    "no text": b'{"a": "\xff"}',
    "deep": b"[" * 100_000,
    "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
}


@pytest.mark.parametrize("name", BAD_CONFIGS)
def test_a_configuration_that_is_none(tmp_path: Path, name: str) -> None:
    (tmp_path / "config.json").write_bytes(BAD_CONFIGS[name])
    with pytest.raises(BadInputError, match=r"config\.json .*(save the model|lfs pull)") as told:
        read_config(tmp_path)
    assert len(str(told.value)) < 500


def test_a_configuration_is_no_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(BadInputError, match="there is no file"):
        read_config(tmp_path)


def test_infinities_are_read_as_transformers_writes_them(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"a": [0.0, {"__float__": "Infinity"}], "b": {"c": 1}}')
    assert read_config(tmp_path) == {"a": [0.0, math.inf], "b": {"c": 1}}


@pytest.mark.parametrize("text", ["~no-such-user/x", "a" * 5000, "x/" * 3000, "a\0b"])
def test_names_that_no_file_can_have(text: str) -> None:
    with pytest.raises(BadInputError, match=r"model\.path is .*--set model\.path=PATH") as told:
        local_path(text, field="model.path")
    assert len(str(told.value)) < 400
    for spec in (FolderModelSpec(path=text), GgufModelSpec(package=None, file=text)):
        with pytest.raises(BadInputError, match="cannot be opened"):
            spec.require_available()


@pytest.mark.parametrize("text", ["/dev/zero", "/dev/null", "/nowhere/at/all"])
def test_devices_and_missing_files_are_no_models(text: str) -> None:
    assert local_path(text, field="model.path") == Path(text)
    with pytest.raises(BadInputError, match="no model folder"):
        FolderModelSpec(path=text).inspect(max_length=16)
    with pytest.raises(BadInputError, match="there is no file"):
        GgufModelSpec(package=None, file=text, architecture=None).config()


def test_pointers_of_git_lfs(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(BadInputError, match=rf"Git LFS pointer.*git -C {tmp_path} lfs pull"):
        require_no_pointer(path)
    path.write_text("{}")
    require_no_pointer(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is no GGUF file"), (b"garbage", "b'garb'"), (b"GGUF\3\0\0\0" + b"\xff" * 99, "GGUF")],
)
def test_garbage_in_the_place_of_a_gguf_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    monkeypatch.setenv("SWEEPER_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    spec = GgufModelSpec(package=None, file=str(path), architecture=None)
    for ask in (spec.config, lambda: spec.inspect(max_length=16), lambda: spec.load("fp32")):
        with pytest.raises(BadInputError, match=message) as told:
            ask()
        assert "fetch the file again" in str(told.value)
    assert not list(tmp_path.glob("cache/gguf/*"))


@pytest.mark.parametrize("content", [b"", b'{"model": null}', b'{"version": "1.0", "trunc'])
def test_a_broken_tokenizer(tmp_path: Path, content: bytes) -> None:
    shutil.copytree(MODEL_FOLDER, tmp_path / "model")
    (tmp_path / "model" / "tokenizer.json").write_bytes(content)
    spec = FolderModelSpec(path=str(tmp_path / "model"))
    for ask in (lambda: spec.inspect(max_length=16), lambda: spec.load("fp32")):
        with pytest.raises(BadInputError, match=r"the tokenizer of .* cannot be read"):
            ask()


def test_a_tokenizer_whose_package_is_missing(tmp_path: Path) -> None:
    shutil.copytree(MODEL_FOLDER, tmp_path / "model")
    (tmp_path / "model" / "tokenizer.json").unlink()
    (tmp_path / "model" / "tokenizer.model").write_bytes(b"\x0a\x0bgarbage")
    with pytest.raises(BadInputError, match="install that"):
        FolderModelSpec(path=str(tmp_path / "model")).inspect(max_length=16)


def test_a_hash_of_files_follows_their_names_and_bytes_and_not_their_folder(tmp_path: Path) -> None:
    hashes = set()
    for place, name, content in (
        ("a", "x.bin", b"123"),
        ("b", "x.bin", b"123"),
        ("c", "y.bin", b"123"),
        ("d", "x.bin", b"124"),
        ("e", "x.bin", b"1234"),
    ):
        (tmp_path / place).mkdir()
        (tmp_path / place / name).write_bytes(content)
        hashes.add(content_hash([tmp_path / place / name]))
    assert len(hashes) == 4
    with pytest.raises(BadInputError, match=r"gone cannot be read"):
        content_hash([tmp_path / "gone"])


@pytest.mark.parametrize("start", [0, 7_000_001, 12_999_999])
def test_of_a_large_file_a_matrix_that_changed_is_seen(tmp_path: Path, start: int) -> None:
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        file.truncate(13_000_000)
    before = content_hash([path])
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"1" * min(2**15, 13_000_000 - start))
    assert content_hash([path]) != before


def test_a_model_at_a_path_has_a_fingerprint_of_what_it_is_read_from(tmp_path: Path) -> None:
    shutil.copytree(MODEL_FOLDER, tmp_path / "one")
    shutil.copytree(MODEL_FOLDER, tmp_path / "two")
    one, two = (FolderModelSpec(path=str(tmp_path / name)) for name in ("one", "two"))
    before = one.fingerprint()
    assert before == two.fingerprint()
    (tmp_path / "two" / "README.md").write_text("what it is")
    (tmp_path / "two" / "checkpoint-1").mkdir()
    assert two.fingerprint() == before
    weights = tmp_path / "two" / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert two.fingerprint() != before
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    assert GgufModelSpec(package=None, file=str(tmp_path / "a.gguf")).fingerprint()
    # A package and its version stand for the file.
    assert GgufModelSpec().fingerprint() == ""
    with pytest.raises(BadInputError, match=r"no model folder"):
        FolderModelSpec(path=str(tmp_path / "gone")).fingerprint()
