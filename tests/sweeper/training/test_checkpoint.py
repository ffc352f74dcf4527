"""Checkpoints: the last two are kept, the newest sound one is taken, half of one never stays."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import shutil
from pathlib import Path

import pytest
import torch

from sweeper.errors import TrialError
from sweeper.training import checkpoint
from sweeper.training.checkpoint import load_checkpoint, save_checkpoint
from sweeper.training.engine import EngineState
from sweeper.training.trainer import TrainerState

CPU = torch.device("cpu")
IDENTITY = "0123456789ab"


def save(folder: Path, step: int) -> None:
    state = EngineState(shared={"step": torch.tensor(step)}, shard={})
    progress = TrainerState(step=step, train_tokens=10 * step, train_time_s=0.5).document()
    save_checkpoint(folder, state, identity=IDENTITY, step=step, progress=progress)


def load(folder: Path) -> int:
    """Returns the step that is loaded, 0 without one."""
    found = load_checkpoint(
        folder, identity=IDENTITY, workers=1, device=CPU, read_progress=TrainerState.read
    )
    if found is None:
        return 0
    engine, progress = found
    assert int(engine.shared["step"]) == progress.step
    return progress.step


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def folder(tmp_path):
    for step in (10, 20, 30):
        save(tmp_path, step)
    return tmp_path


def test_there_is_no_checkpoint_in_an_empty_folder(tmp_path):
    assert load(tmp_path / "none") == 0


def test_the_last_two_are_kept(folder):
    assert names(folder) == ["step-00000020", "step-00000030"]
    assert load(folder) == 30


def change(path, **fields):
    """Changes a manifest as somebody does who writes no hash, as earlier versions did."""
    path.write_text(json.dumps({**json.loads(path.read_text()), "digest": "", **fields}))


def progress(path, **fields):
    change(path, progress={**json.loads(path.read_text())["progress"], **fields})


SPOILT = {
    "emptied": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:40]),
    "a list": lambda path: path.write_text("[]"),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "no text": lambda path: path.write_bytes(b"\xff\xfe{}"),
    "files of another kind": lambda path: change(path, files=["rank-0.pt"]),
    "workers in words": lambda path: change(path, workers="two"),
    "another step": lambda path: change(path, step=20),
    "progress of another kind": lambda path: change(path, progress=[1]),
    "progress without metrics": lambda path: progress(path, metrics=None),
    "progress of another step": lambda path: progress(path, step=20),
    "progress in words": lambda path: progress(path, train_tokens="many"),
    "progress without an end": lambda path: progress(path, train_time_s=float("inf")),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_damaged_one_costs_an_interval_and_not_the_trial(folder, caplog, how):
    SPOILT[how](folder / "step-00000030" / "manifest.json")
    with caplog.at_level(logging.WARNING):
        assert load(folder) == 20
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith(f"ignoring checkpoint {folder / 'step-00000030'}: ")
    # The trial goes on from there, and the damaged one gives way.
    save(folder, 25)
    assert names(folder) == ["step-00000020", "step-00000025"]
    save(folder, 30)
    assert load(folder) == 30


def test_one_bit_of_a_manifest_that_changes_is_noticed_or_changes_nothing(folder):
    path = folder / "step-00000030" / "manifest.json"
    whole, count = path.read_bytes(), 0
    for place in range(0, len(whole), 3):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        found = load_checkpoint(
            folder, identity=IDENTITY, workers=1, device=CPU, read_progress=TrainerState.read
        )
        assert found is not None
        state = found[1]
        if state.step == 30:
            assert (state.train_tokens, state.train_time_s) == (300, 0.5)
        else:
            assert state.step == 20
            count += 1
    assert count > len(whole) // 6


@pytest.mark.parametrize("file", ["shared.pt", "rank-0.pt"])
@pytest.mark.parametrize("content", [b"", bytes(500), None])
def test_a_damaged_tensor_file_costs_an_interval(folder, file, content):
    path = folder / "step-00000030" / file
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    assert load(folder) == 20


class Forged:
    """What pickle makes by calling what the file names."""

    def __init__(self, call, *values):
        self.made_by = call, values

    def __reduce__(self):
        return self.made_by


FORGED = {
    "a shell command": lambda target: Forged(os.system, f"touch {target}"),
    "a folder made": lambda target: Forged(os.mkdir, str(target)),
    "a program": lambda target: Forged(exec, f"import os; os.mkdir({str(target)!r})"),
    "a file copied": lambda target: Forged(shutil.copyfile, __file__, str(target)),
}


@pytest.mark.parametrize("file", ["shared.pt", "rank-0.pt"])
@pytest.mark.parametrize("is_archive", [True, False], ids=["archive", "bare pickle"])
@pytest.mark.parametrize("kind", FORGED)
def test_a_forged_one_runs_nothing_and_is_passed_over(folder, caplog, kind, is_archive, file):
    target = folder / "step-00000030" / "written"
    path = folder / "step-00000030" / file
    content = {"step": FORGED[kind](target), "shard": {}, "random": FORGED[kind](target)}
    torch.save(content, path, _use_new_zipfile_serialization=is_archive)
    # Whoever forges a file forges its hash.
    manifest = path.with_name("manifest.json")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    change(manifest, files={**json.loads(manifest.read_text())["files"], file: digest})
    with caplog.at_level(logging.WARNING):
        assert load(folder) == 20
    assert not target.exists()
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith(f"ignoring checkpoint {folder / 'step-00000030'}: ValueError: ")


def test_what_deepspeed_keeps_besides_tensors_is_loaded(tmp_path):
    from deepspeed.runtime.fp16.loss_scaler import DynamicLossScaler, LossScaler
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils.tensor_fragment import fragment_address

    kept = [
        DynamicLossScaler(2.0**16, 1000, 1.0, 2, False, dtype=torch.float16),
        LossScaler(8.0),
        ZeroStageEnum.weights,
        fragment_address(numel=3, start=7),
    ]
    digest = checkpoint._write(tmp_path / "shared.pt", {"kept": kept})
    scaler, plain, stage, address = checkpoint._load(tmp_path / "shared.pt", digest)["kept"]
    assert vars(scaler) == vars(kept[0])
    assert vars(plain) == vars(kept[1])
    assert (stage, address) == (kept[2], kept[3])


def test_a_forged_one_would_have_run(tmp_path):
    """So that the test above can fail."""
    for number, make in enumerate(FORGED.values()):
        target = tmp_path / str(number)
        torch.save(make(target), tmp_path / "forged.pt")
        torch.load(tmp_path / "forged.pt", weights_only=False)
        assert target.exists()


def test_what_a_newer_version_says_besides_is_dropped(folder):
    manifest = folder / "step-00000030" / "manifest.json"
    change(manifest, kind="new")
    progress(manifest, new_field=1)
    assert load(folder) == 30


@pytest.mark.parametrize("full_at", ["_write", "_publish"])
def test_a_full_disk_leaves_nothing_behind_and_the_ones_before(folder, monkeypatch, full_at):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, full_at, full)
    with pytest.raises(TrialError, match=r"No space left on device; .* free space"):
        save(folder, 40)
    assert names(folder) == ["step-00000020", "step-00000030"]
    assert load(folder) == 30


def test_a_link_in_the_place_of_a_new_one_is_not_followed(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (folder / ".step-00000040.unfinished").symlink_to(elsewhere)
    save(folder, 40)
    assert list(elsewhere.iterdir()) == []
    assert load(folder) == 40


def test_a_link_in_the_place_of_all_of_them_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "checkpoint").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TrialError, match="is a symbolic link, which is not followed"):
        save(tmp_path / "checkpoint", 10)
    assert list((tmp_path / "elsewhere").iterdir()) == []
