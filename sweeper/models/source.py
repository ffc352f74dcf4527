"""What every base model has in common, and the one place that loads one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeper._spec import Spec
from sweeper.errors import BadInputError
from sweeper.models.inspection import (
    TokenCheck,
    embedding_rows,
    load_tokenizer,
    replace_pad_token,
    require_alone,
    require_token_rows,
    require_whole,
)
from sweeper.models.reading import quiet_loading, reading
from sweeper.models.shapes import ModelFacts, facts_of, trainable_parameters
from sweeper_adapters.methods import Method, ModelShape

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
        return self.facts().shape

    def shape_at_hand(self) -> ModelShape | None:
        """Returns the shape, or None where the network would have to be asked for it."""
        return self.shape()

    def facts(self) -> ModelFacts:
        """Returns what planning needs, under the same names for all families."""
        return facts_of(self.config())

    def trainable(self, method: Method) -> int:
        """Returns the number of parameters that a method trains on this model."""
        return trainable_parameters(self.config(), method)

    def fingerprint(self) -> str:
        """Returns a hash of the files at a path that the spec names; empty where it names none.

        Other weights may be put there, and the spec stays the same.

        Raises:
            BadInputError: a file cannot be read.
        """
        return ""

    @abstractmethod
    def require_available(self) -> None:
        """Looks whether the model can be loaded, without loading it.

        Raises:
            MissingError: it is not there; the message names the command that gets it.
        """

    @abstractmethod
    def inspect(self, *, max_length: int, virtual_tokens: int = 0) -> TokenCheck:
        """Looks at all of the model but the values of its weights.

        Args:
            max_length: tokens of the longest row of a trial.
            virtual_tokens: most that a method puts before each row.

        Returns:
            What is still to be looked at in the data.

        Raises:
            BadInputError: it cannot be trained on.
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


def load_pretrained(
    source: str | Path,
    *,
    dtype: str,
    revision: str = "main",
    remedy: str = "fetch or save it again",
) -> LoadedModel:
    """Returns the model of a folder or Hub name, frozen, and its tokenizer.

    Args:
        source: folder, or ``owner/name`` on the Hub.
        dtype: ``fp32``, ``bf16`` or ``fp16``, or torch's names for them.
        revision: branch, tag or commit on the Hub.
        remedy: what to do where it cannot be read, as the end of a sentence.

    Raises:
        BadInputError: the dtype is unknown, the model is not there or cannot be read, its weights
            are not those of its configuration, or it lacks rows for the tokenizer's ids.
    """
    if dtype not in DTYPES:
        raise BadInputError(
            f"no dtype {dtype!r}; known ones are {', '.join(DTYPES)}; set engine.precision"
        )
    subject = f"the model {source}"
    with reading(subject, remedy=remedy):
        tokenizer = load_tokenizer(str(source), revision=revision, subject=subject)
        model = _load_model(source, DTYPES[dtype], revision)
    require_alone(model, subject=subject)
    rows = embedding_rows(model)
    replace_pad_token(tokenizer, rows=rows)
    require_token_rows(tokenizer, rows=rows, subject=subject)
    model.config.use_cache = False
    model.requires_grad_(False)
    model.train(mode=False)
    return LoadedModel(model=model, tokenizer=tokenizer)


def _load_model(source: str | Path, dtype: str, revision: str) -> PreTrainedModel:
    import torch
    from transformers import AutoModelForCausalLM

    with quiet_loading():
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source,
            revision=revision,
            dtype=getattr(torch, dtype),
            trust_remote_code=False,
            # What does not fit is told by name.
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    # A pair, because of output_loading_info.
    model: PreTrainedModel = loaded[0]
    require_whole(loaded[1], model, subject=f"the model {source}")
    return model
