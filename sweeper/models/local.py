"""Models in a local folder; the embedded one is in this package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from sweeper.errors import MissingError
from sweeper.models.embedded import MODEL_FOLDER
from sweeper.models.inspection import TokenCheck, inspect_model, require_intact
from sweeper.models.inspection.positions import warn_of_length
from sweeper.models.reading import content_hash, local_path, read_config
from sweeper.models.source import BaseModelSpec, LoadedModel, ModelSource, load_pretrained

__all__ = ["EmbeddedModelSpec", "FolderModelSpec"]

# Endings of what a model and its tokenizer are read from.
_CONTENT = {".bin", ".json", ".model", ".safetensors", ".txt"}


class EmbeddedModelSpec(BaseModelSpec):
    """The small LLaMA that comes with the sweeper (see :mod:`sweeper.models.embedded.pretrain`)."""

    kind: Literal["embedded"] = "embedded"
    """The model comes with the sweeper."""

    def config(self) -> Mapping[str, Any]:
        """Returns the content of the model's ``config.json``."""
        self.require_available()
        return read_config(MODEL_FOLDER)

    def require_available(self) -> None:
        """Looks whether the weights are there.

        Raises:
            MissingError: they are not.
        """
        if not (MODEL_FOLDER / "model.safetensors").is_file():
            raise MissingError(
                f"the embedded model is missing: {MODEL_FOLDER} has no model.safetensors; it is "
                "part of an installed sweeper; build it: python -m "
                "sweeper.models.embedded.pretrain"
            )

    def inspect(self, *, max_length: int, virtual_tokens: int = 0) -> TokenCheck:
        """Looks whether the files are whole; all else of this model is known.

        Args:
            max_length: tokens of the longest row of a trial.
            virtual_tokens: most that a method puts before each row.

        Raises:
            BadInputError: a file is damaged.
        """
        self.require_available()
        require_intact(MODEL_FOLDER)
        length = max_length + virtual_tokens
        warn_of_length(self.config(), length, subject="the embedded model")
        return TokenCheck("the embedded model")

    def load(self, dtype: str) -> LoadedModel:
        """Returns the model, frozen, and its tokenizer.

        Args:
            dtype: ``fp32``, ``bf16`` or ``fp16``, or torch's names for them.
        """
        self.require_available()
        return load_pretrained(MODEL_FOLDER, dtype=dtype)

    def source(self) -> ModelSource:
        """Returns the folder inside this package."""
        return ModelSource(str(MODEL_FOLDER))


class FolderModelSpec(BaseModelSpec):
    """A model that was saved with ``save_pretrained`` (or downloaded with ``hf download``)."""

    kind: Literal["folder"] = "folder"
    """The model is in a local folder."""
    path: str = Field(min_length=1)
    """Folder with config.json, weights and tokenizer; a relative path starts at the current
    folder."""

    def config(self) -> Mapping[str, Any]:
        """Returns the content of the folder's ``config.json``."""
        return read_config(self._existing_folder())

    def fingerprint(self) -> str:
        """Returns a hash of the configuration, the weights and the tokenizer in the folder."""
        files = self._existing_folder().iterdir()
        return content_hash(x for x in files if x.suffix in _CONTENT and x.is_file())

    def require_available(self) -> None:
        """Looks whether configuration, weights and tokenizer are there, and whole.

        Raises:
            BadInputError: one of them is not.
        """
        require_intact(self._existing_folder())

    def inspect(self, *, max_length: int, virtual_tokens: int = 0) -> TokenCheck:
        """Looks at all of the model but the values of its weights.

        Args:
            max_length: tokens of the longest row of a trial.
            virtual_tokens: most that a method puts before each row.

        Raises:
            BadInputError: it cannot be trained on.
        """
        folder = self._existing_folder()
        return inspect_model(
            read_config(folder),
            folder=folder,
            tokenizer=str(folder),
            revision="main",
            max_length=max_length,
            virtual_tokens=virtual_tokens,
            subject=f"the model {folder}",
        )

    def load(self, dtype: str) -> LoadedModel:
        """Returns the model, frozen, and its tokenizer.

        Args:
            dtype: ``fp32``, ``bf16`` or ``fp16``, or torch's names for them.
        """
        self.require_available()
        return load_pretrained(self._folder(), dtype=dtype)

    def source(self) -> ModelSource:
        """Returns the folder, from wherever one starts."""
        return ModelSource(str(self._folder().absolute()))

    def _folder(self) -> Path:
        return local_path(self.path, field="model.path")

    def _existing_folder(self) -> Path:
        folder = self._folder()
        if not folder.is_dir():
            raise MissingError(
                f"no model folder {folder}; model.path must be a folder written by "
                "save_pretrained; correct it: --set model.path=FOLDER"
            )
        return folder
