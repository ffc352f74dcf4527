"""Checkpoints of a trial: adapter, optimizer, step and random state, never the frozen base."""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import logging
import os
import pickle
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from sweeper._files import read_json
from sweeper.distributed import broadcast, gather, rank
from sweeper.errors import DamagedFileError, TrialError
from sweeper.training.engine import EngineState

if TYPE_CHECKING:
    import torch

__all__ = ["load_checkpoint", "save_checkpoint"]

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
SHARED = "shared.pt"
# Characters of a reason: a library's words may quote a whole file.
MAX_REASON = 300

# What DeepSpeed 0.19's optimizers put in their state besides tensors and plain values: records, and
# making one runs no code of the file's choice.
DEEPSPEED_CLASSES = frozenset(
    {
        "deepspeed.runtime.fp16.loss_scaler.DynamicLossScaler",
        "deepspeed.runtime.fp16.loss_scaler.LossScaler",
        "deepspeed.runtime.zero.config.ZeroStageEnum",
        "deepspeed.utils.tensor_fragment.fragment_address",
    }
)

# What reading a damaged file can raise, or one that another version of DeepSpeed has written.
_UNREADABLE = (
    OSError,
    ValueError,
    DamagedFileError,
    KeyError,
    EOFError,
    RuntimeError,
    AttributeError,
    ImportError,
    pickle.UnpicklingError,
    TypeError,
    IndexError,
    OverflowError,
)

_Progress = TypeVar("_Progress")


class _Manifest(BaseModel):
    """What is in a checkpoint, and whose it is."""

    # What a newer version says besides is dropped.
    model_config = ConfigDict(frozen=True, extra="ignore")

    identity: str
    step: int = Field(ge=0)
    workers: int = Field(ge=1)
    files: dict[str, str]
    progress: dict[str, Any]
    digest: str = ""
    """Hash of the fields above; what an earlier version wrote has none."""

    def sealed(self) -> _Manifest:
        """Returns it with its hash."""
        return self.model_copy(update={"digest": self._digest()})

    def is_whole(self) -> bool:
        """Whether its fields are what was written."""
        return self.digest in {"", self._digest()}

    def _digest(self) -> str:
        fields = self.model_dump(include={"identity", "step", "workers", "files", "progress"})
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def save_checkpoint(
    folder: Path, state: EngineState, *, identity: str, step: int, progress: Mapping[str, Any]
) -> None:
    """Writes a checkpoint and removes all but the one before; all workers must call it together.

    It is written under a name that nobody reads and renamed when it is complete, so that whoever
    dies in between leaves those before. Each file's hash stands in the manifest, and so does its
    own. Two are kept: one that is damaged later costs an interval, not the trial.

    Args:
        folder: holds the checkpoints of one trial, on storage that all workers share.
        state: of the engine.
        identity: of the trial; only the same trial can load it.
        step: optimiser steps done.
        progress: what else the trial needs to resume; JSON.

    Raises:
        TrialError: a worker could not write; on all workers. What was written is removed.
    """
    target = folder / _name(step)
    unfinished = folder / f".{target.name}.unfinished"
    try:
        _together(lambda: _clear(unfinished) if rank() == 0 else None, folder)
        written = _together(lambda: _write_files(unfinished, state), folder)
        manifest = _Manifest(
            identity=identity,
            step=step,
            workers=len(written),
            files={name: digest for files in written for name, digest in files.items()},
            progress=dict(progress),
        )
        _together(lambda: _publish(unfinished, target, manifest) if rank() == 0 else None, folder)
    finally:
        # On a full disk the half of a checkpoint is what others lack.
        if rank() == 0:
            shutil.rmtree(unfinished, ignore_errors=True)


def load_checkpoint(
    folder: Path,
    *,
    identity: str,
    workers: int,
    device: torch.device,
    read_progress: Callable[[Mapping[str, Any]], _Progress],
) -> tuple[EngineState, _Progress] | None:
    """Returns engine state and progress of the last valid checkpoint, and sets the random state.

    None without one. A checkpoint that is damaged, incomplete, or of another trial is skipped with
    a warning. All workers must call it together, and all get the same one.

    Args:
        folder: as in :func:`save_checkpoint`.
        identity: of the trial.
        workers: of the replica.
        device: of this worker.
        read_progress: returns what :func:`save_checkpoint` was given, read; ValueError or TypeError
            where it does not fit.
    """
    for path in broadcast(sorted(folder.glob("step-*"), reverse=True)):
        try:
            manifest, contents = _read(path, identity, workers)
            found, problem = (read_progress(manifest.progress), contents), ""
        except _UNREADABLE as error:
            lines = f"{type(error).__name__}: {error}".splitlines()
            found, problem = None, " ".join(line.strip() for line in lines)[:MAX_REASON]
        problems = [text for text in gather(problem) if text]
        if problems or found is None:
            logger.warning("ignoring checkpoint %s: %s", path, problems[0])
            continue
        progress, (shared, local) = found
        _set_random_state(local["random"], device)
        return EngineState(shared=shared, shard=local["shard"]), progress
    return None


def _together(work: Callable[[], Any], folder: Path) -> list[Any]:
    """Returns what the work gave on each worker; where one fails to write, all raise."""
    result, problem = None, ""
    try:
        result = work()
    except OSError as error:
        problem = f"{type(error).__name__}: {error}"
    results = gather((problem, result))
    problems = [text for text, _ in results if text]
    if problems:
        raise TrialError(
            f"the checkpoint in {folder} could not be written: {problems[0]}; all workers must be "
            "able to write there; free space, or put the sweep's folder on shared storage"
        )
    return [value for _, value in results]


def _clear(unfinished: Path) -> None:
    if unfinished.parent.is_symlink():
        raise OSError(f"{unfinished.parent} is a symbolic link, which is not followed")
    if unfinished.is_symlink():
        unfinished.unlink()
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)


def _write_files(unfinished: Path, state: EngineState) -> dict[str, str]:
    """Writes this worker's files and returns the hash of each."""
    contents: dict[str, Any] = {f"rank-{rank()}.pt": {"shard": state.shard, "random": _random()}}
    if rank() == 0:
        contents[SHARED] = state.shared
    return {name: _write(unfinished / name, value) for name, value in contents.items()}


def _write(path: Path, value: Mapping[str, Any]) -> str:
    import torch

    buffer = io.BytesIO()
    torch.save(value, buffer)
    content = buffer.getbuffer()
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        # A checkpoint before is removed as soon as this one is in place, so it must be on disk.
        os.fsync(file.fileno())
    return hashlib.sha256(content).hexdigest()


def _publish(unfinished: Path, target: Path, manifest: _Manifest) -> None:
    with (unfinished / MANIFEST).open("w", encoding="utf-8") as file:
        # Not strict JSON: a metric that is no number is read back as it was.
        file.write(json.dumps(manifest.sealed().model_dump(), indent=1))
        file.flush()
        os.fsync(file.fileno())
    shutil.rmtree(target, ignore_errors=True)
    unfinished.rename(target)
    # One of a later step is damaged, or the trial would have gone on from it.
    earlier = sorted(path.name for path in target.parent.glob("step-*") if path.name < target.name)
    kept = {target.name, *earlier[-1:]}
    for path in target.parent.glob("*step-*"):
        if path.name not in kept:
            shutil.rmtree(path)


def _read(path: Path, identity: str, workers: int) -> tuple[_Manifest, list[dict[str, Any]]]:
    """Returns the manifest and the contents of the shared and of this worker's file."""
    content = read_json(path / MANIFEST)
    if content is None:
        raise ValueError(f"it has no {MANIFEST}")
    manifest = _Manifest.model_validate(content)
    if not manifest.is_whole():
        raise ValueError(f"{MANIFEST} is damaged: its content is not what was written")
    if manifest.identity != identity or manifest.workers != workers:
        raise ValueError(
            f"it is of trial {manifest.identity[:40]} with {manifest.workers} workers, "
            f"not of trial {identity} with {workers}"
        )
    if path.name != _name(manifest.step) or manifest.progress.get("step") != manifest.step:
        raise ValueError(f"{MANIFEST} is of another step")
    names = (SHARED, f"rank-{rank()}.pt")
    return manifest, [_load(path / name, manifest.files[name]) for name in names]


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _load(path: Path, digest: str) -> dict[str, Any]:
    import torch

    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError(f"{path.name} is damaged: its content is not what was written")
    # Whoever can write the file can write its hash, too: nothing but data is taken from it.
    with torch.serialization.safe_globals(_deepspeed_classes(content, path.name)):
        found: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} holds no names with values")
    return dict(found)


def _deepspeed_classes(content: bytes, name: str) -> list[Any]:
    """Returns the classes of DeepSpeed that a file needs; ValueError where it names any other."""
    import torch

    needed = torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(content))
    foreign = sorted(set(needed) - DEEPSPEED_CLASSES)
    if foreign:
        raise ValueError(f"{name} is no checkpoint of ours: it would load {', '.join(foreign)}")
    parts = [full_name.rpartition(".") for full_name in needed]
    return [getattr(importlib.import_module(module), last) for module, _, last in parts]


def _random() -> dict[str, Any]:
    """Returns the state of torch's random generators on this worker."""
    import torch

    return {
        "cpu": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def _set_random_state(state: Mapping[str, Any], device: torch.device) -> None:
    import torch

    torch.set_rng_state(state["cpu"])
    if state["cuda"] is not None and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
