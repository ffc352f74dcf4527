"""The adapter of a trial as PEFT writes it, checked."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from sweeper.errors import TrialError
from sweeper.ranks import broadcast, rank

if TYPE_CHECKING:
    from peft import PeftModel

__all__ = ["save_adapter"]


def save_adapter(model: PeftModel, folder: Path, *, trainable: int) -> None:
    """Writes the adapter to ``folder``, which then is there whole or, as before, not at all.

    Args:
        model: with its adapter's parameters whole (see ``Engine.whole_adapter``) on worker 0.
        folder: for PEFT's files; what is there is replaced.
        trainable: elements that the file must hold, those that layers share once.

    Raises:
        TrialError: it could not be written, or holds another number of elements; on all workers.
    """
    problem = ""
    if rank() == 0:
        try:
            _write(model, folder, trainable)
        except (OSError, TrialError) as error:
            problem = str(error)
    problem = broadcast(problem)
    if problem:
        raise TrialError(f"the adapter could not be saved in {folder}: {problem}")


def _write(model: PeftModel, folder: Path, trainable: int) -> None:
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    # "auto" would ask the Hub for the base's configuration.
    model.save_pretrained(str(unfinished), save_embedding_layers=False)
    saved = _elements(unfinished / "adapter_model.safetensors")
    if saved != trainable:
        raise TrialError(
            f"the file holds {saved} elements but {trainable} were trained; each trained element "
            "must be there once; the method's PEFT model must save what it shares once, and whole"
        )
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)


def _elements(path: Path) -> int:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
