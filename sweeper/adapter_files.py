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

__all__ = ["adapter_elements", "save_adapter"]


def adapter_elements(model: PeftModel) -> int:
    """Returns how many numbers the file of a model's adapter holds, those layers share once."""
    from peft import get_peft_model_state_dict

    saved = get_peft_model_state_dict(model, save_embedding_layers=False)
    return sum(tensor.numel() for tensor in saved.values())


def save_adapter(model: PeftModel, folder: Path, *, elements: int) -> None:
    """Writes the adapter to ``folder``, which then is there whole or, as before, not at all.

    Args:
        model: with its adapter's parameters whole (see ``Engine.whole_adapter``) on worker 0.
        folder: for PEFT's files; what is there is replaced.
        elements: numbers that the file must hold.

    Raises:
        TrialError: it could not be written, or holds another number of them; on all workers.
    """
    problem = ""
    if rank() == 0:
        try:
            _write(model, folder, elements)
        except (OSError, TrialError) as error:
            problem = str(error)
    problem = broadcast(problem)
    if problem:
        raise TrialError(f"the adapter could not be saved in {folder}: {problem}")


def _write(model: PeftModel, folder: Path, elements: int) -> None:
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    # "auto" would ask the Hub for the base's configuration.
    model.save_pretrained(str(unfinished), save_embedding_layers=False)
    saved = _elements(unfinished / "adapter_model.safetensors")
    if saved != elements:
        raise TrialError(
            f"the file holds {saved} elements but the adapter has {elements}; each one must be "
            "there once; the method's PEFT model must save what it shares once, and whole"
        )
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)


def _elements(path: Path) -> int:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
