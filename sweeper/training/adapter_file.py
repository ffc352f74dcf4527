"""The adapter of a trial as PEFT writes it, checked."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sweeper._files import put_whole
from sweeper._third_party import writing
from sweeper.distributed import on_first_worker
from sweeper.errors import TrialError
from sweeper.evaluation.adapter import forget_digests, note_digests, note_template

if TYPE_CHECKING:
    import torch
    from peft import PeftModel

__all__ = ["adapter_bytes", "adapter_elements", "save_adapter"]

# Safetensors' names of the dtypes that an adapter may have, in its own order.
_DTYPE_NAMES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "int16": "I16",
    "float16": "F16",
    "bfloat16": "BF16",
    "int32": "I32",
    "float32": "F32",
    "float64": "F64",
    "int64": "I64",
}


def adapter_elements(model: PeftModel) -> int:
    """Returns how many numbers the file of a model's adapter holds, those layers share once."""
    return sum(tensor.numel() for tensor in _saved(model).values())


def adapter_bytes(model: PeftModel) -> int:
    """Returns the size of the file that the adapter would be saved in, header and all.

    Needs no values: the model may be on the meta device.
    """
    saved = _saved(model)
    order = list(_DTYPE_NAMES)
    kinds = {name: str(tensor.dtype).removeprefix("torch.") for name, tensor in saved.items()}
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    # Safetensors puts the widest dtypes first, and sorts by name.
    for name in sorted(saved, key=lambda name: (-order.index(kinds[name]), name)):
        start, end = end, end + saved[name].nbytes
        header[name] = {
            "dtype": _DTYPE_NAMES[kinds[name]],
            "shape": list(saved[name].shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":"))
    # The header's length comes first, in 8 bytes; the header is filled up to a multiple of 8.
    return 8 + math.ceil(len(text.encode()) / 8) * 8 + end


def _saved(model: PeftModel) -> Mapping[str, torch.Tensor]:
    from peft import get_peft_model_state_dict

    saved: Mapping[str, torch.Tensor] = get_peft_model_state_dict(
        model, save_embedding_layers=False
    )
    return saved


def save_adapter(model: PeftModel, folder: Path, *, elements: int, template: str = "") -> None:
    """Writes the adapter to ``folder``, which then is there whole or, as before, not at all.

    Args:
        model: with its adapter's parameters whole (see ``Engine.whole_adapter``) on worker 0.
        folder: for PEFT's files; what is there is replaced.
        elements: numbers that the file must hold.
        template: of its chats, kept beside the folder; empty where the tokenizer has it.

    Raises:
        TrialError: it could not be written, or holds another number of them; on all workers.
    """

    def write() -> None:
        try:
            note_template(folder, template)
            _write(model, folder, elements)
        except (OSError, TrialError) as error:
            raise TrialError(f"the adapter could not be saved in {folder}: {error}") from error

    # The reason begins with the name of the exception, which is the same here.
    on_first_worker(write, failure=lambda why: TrialError(why.removeprefix("TrialError: ")))


def _write(model: PeftModel, folder: Path, elements: int) -> None:
    # Whoever dies in between leaves an adapter of which nothing is noted.
    forget_digests(folder)
    with put_whole(folder, has_one_writer=True) as unfinished, writing():
        # "auto" would ask the Hub for the base's configuration.
        model.save_pretrained(str(unfinished), save_embedding_layers=False)
        saved = _elements(unfinished / "adapter_model.safetensors")
        if saved != elements:
            raise TrialError(
                f"the file holds {saved} elements but the adapter has {elements}; each element "
                "must be saved once; the method's PEFT model must save shared parameters once, and "
                "whole"
            )

    note_digests(folder)


def _elements(path: Path) -> int:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
