"""What the files of a trial's adapter must hold: made by the method itself, without values."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeper._third_party import ignore_known_warnings
from sweeper.experiment.trial import TrialSpec
from sweeper.models import DTYPES
from sweeper.models.shapes import skeleton

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from torch import Tensor
    from transformers import PreTrainedModel

__all__ = ["ExpectedAdapter", "TensorForm", "expect_adapter"]


@dataclass(frozen=True)
class TensorForm:
    """Shape and dtype of a tensor."""

    shape: tuple[int, ...]
    dtype: str
    """torch's name, ``float32``."""

    @classmethod
    def of(cls, tensor: Tensor) -> TensorForm:
        """Returns the form of a tensor."""
        return cls(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))

    def __str__(self) -> str:
        """Returns it as in ``float32 [4, 32]``."""
        return f"{self.dtype} {list(self.shape)}"


@dataclass(frozen=True)
class ExpectedAdapter:
    """What a trial saves when it has been trained."""

    peft_config: PeftConfig
    """PEFT's config of it."""
    config: Mapping[str, Any]
    """The same as plain JSON, as it is written."""
    defaults: Mapping[str, Any]
    """Values of fields that a file lacks."""
    tensors: Mapping[str, TensorForm]
    """Its tensors, by their keys in the file; before training has changed any shape."""
    alternatives: Mapping[str, frozenset[TensorForm]]
    """Other forms of those that are not trained: an engine leaves them in the dtype in which they
    were set, before training or in it."""


def expect_adapter(trial: TrialSpec, model: PreTrainedModel) -> ExpectedAdapter:
    """Returns what the adapter of a trial on this model holds.

    Args:
        trial: that trained it.
        model: its base, with values or without; it is not changed.
    """
    import torch
    from peft import get_peft_model_state_dict

    ignore_known_warnings()
    dtype = DTYPES[trial.engine.precision]
    built = skeleton(model.config.to_dict(), dtype=dtype)
    # Also what an adapter is made of gets no memory.
    with torch.device("meta"):
        adapted = trial.method.inject(built, seed=trial.train.seed)
    training = trial.method.training(adapted, steps=trial.train.steps)
    # As the engine does when it starts; it leaves buffers as they are.
    for parameter in adapted.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(getattr(torch, dtype))
    with training.finished():
        config = copy.deepcopy(adapted.active_peft_config)
        saved = get_peft_model_state_dict(adapted, save_embedding_layers=False)
        tensors = {key: TensorForm.of(value) for key, value in saved.items()}
        alternatives = {
            key: frozenset(replace(tensors[key], dtype=kind) for kind in ("float32", dtype))
            for key in _list_buffers(adapted).intersection(tensors)
        }
    return ExpectedAdapter(config, _write(config), _defaults(config), tensors, alternatives)


def _list_buffers(model: PeftModel) -> set[str]:
    """Returns the keys that buffers of the active adapter have in its file."""
    # What layers share is saved under one of its names.
    buffers = model.named_buffers(remove_duplicate=False)
    parts = (name.rpartition(f".{model.active_adapter}") for name, _ in buffers)
    return {f"{before}{after}" for before, name, after in parts if name}


def _write(config: PeftConfig) -> dict[str, Any]:
    """Returns a config as PEFT writes it to a file."""
    with tempfile.TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        text = (Path(folder) / "adapter_config.json").read_text(encoding="utf-8")
    written: dict[str, Any] = json.loads(text)
    return written


def _defaults(config: PeftConfig) -> dict[str, Any]:
    return {
        field.name: field.default if field.default_factory is MISSING else field.default_factory()
        for field in fields(config)
    }
