"""What every base model has in common, and the one place that loads one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeper._spec import Spec
from sweeper.errors import BadInputError
from sweeper.models.shapes import shape_of
from sweeper_adapters.methods import ModelShape

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["DTYPES", "BaseModelSpec", "LoadedModel", "ModelSource", "load_pretrained"]

DTYPES = {
    "fp32": "float32",
    "bf16": "bfloat16",
    "fp16": "float16",
    "float32": "float32",
    "bfloat16": "bfloat16",
    "float16": "float16",
}
"""torch's name of each dtype that a model is loaded in, by the names that it goes by."""


@dataclass(frozen=True)
class LoadedModel:
    """A frozen base model and its tokenizer."""

    model: PreTrainedModel
    """In evaluation mode, without a key-value cache; no parameter requires a gradient."""
    tokenizer: PreTrainedTokenizerBase
    """Has a pad token; where the model brings none it is the end-of-text token."""


@dataclass(frozen=True)
class ModelSource:
    """What transformers' ``from_pretrained`` takes to load the model."""

    name: str
    """Folder, or ``owner/name`` on the Hub."""
    revision: str | None = None
    """Branch, tag or commit on the Hub; None for a folder."""

    @property
    def is_on_hub(self) -> bool:
        """Whether others can load it by this name, too."""
        return self.revision is not None


class BaseModelSpec(Spec):
    """Where a base model comes from."""

    @abstractmethod
    def config(self) -> Mapping[str, Any]:
        """Returns the content of the model's ``config.json``, without loading weights."""

    def shape(self) -> ModelShape:
        """Returns what counting needs: layers, the linears of one, parameters in all."""
        return shape_of(self.config())

    @abstractmethod
    def require_available(self) -> None:
        """Looks whether the model can be loaded, without loading it.

        Raises:
            MissingError: it is not there; the message names the command that gets it.
        """

    @abstractmethod
    def load(self, dtype: str) -> LoadedModel:
        """Returns the model, frozen, and its tokenizer.

        Args:
            dtype: ``fp32``, ``bf16`` or ``fp16``, or torch's names for them.
        """

    @abstractmethod
    def source(self) -> ModelSource:
        """Returns from where anyone else may load the same weights, with transformers alone."""


def load_pretrained(source: str | Path, *, dtype: str, revision: str = "main") -> LoadedModel:
    """Returns the model of a folder or Hub name, frozen, and its tokenizer.

    Args:
        source: folder, or ``owner/name`` on the Hub.
        dtype: ``fp32``, ``bf16`` or ``fp16``, or torch's names for them.
        revision: branch, tag or commit on the Hub.

    Raises:
        BadInputError: the dtype is unknown.
        OSError: the model is not there; ValueError: it is not one that transformers knows.
    """
    if dtype not in DTYPES:
        raise BadInputError(
            f"no dtype {dtype!r}; known ones are {', '.join(DTYPES)}; set engine.precision"
        )
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source, revision=revision)
    model = AutoModelForCausalLM.from_pretrained(
        source, revision=revision, dtype=getattr(torch, DTYPES[dtype])
    )
    if tokenizer.pad_token_id is None:
        # A new token would need a new row in the frozen embedding; batches mask by attention mask.
        tokenizer.pad_token = tokenizer.eos_token
    model.config.use_cache = False
    model.requires_grad_(False)
    model.train(mode=False)
    return LoadedModel(model=model, tokenizer=tokenizer)
