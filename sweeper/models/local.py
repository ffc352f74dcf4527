"""Models in a local folder; the embedded one is in this package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from sweeper.errors import DataError, MissingError
from sweeper.models.embedded import MODEL_FOLDER
from sweeper.models.source import BaseModelSpec, LoadedModel, ModelSource, load_pretrained

__all__ = ["EmbeddedModelSpec", "FolderModelSpec", "read_config"]


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
        self.require_available()
        return read_config(self._folder)

    def require_available(self) -> None:
        """Looks whether configuration, weights and tokenizer are there.

        Raises:
            MissingError: one of them is not.
        """
        folder = self._folder
        if not folder.is_dir():
            raise MissingError(
                f"no model folder {folder}; model.path must be a folder written by "
                "save_pretrained; correct it: --set model.path=FOLDER"
            )
        wanted = {
            "config.json": ("config.json",),
            "weights": ("*.safetensors", "pytorch_model*.bin"),
            "a tokenizer": ("tokenizer.json", "tokenizer.model", "vocab.json"),
        }
        missing = [
            what
            for what, patterns in wanted.items()
            if not any(True for pattern in patterns for _ in folder.glob(pattern))
        ]
        if missing:
            raise MissingError(
                f"the model folder {folder} lacks {' and '.join(missing)}; it needs "
                f"{', '.join(wanted)}; save model and tokenizer there with save_pretrained"
            )

    def load(self, dtype: str) -> LoadedModel:
        """Returns the model, frozen, and its tokenizer.

        Args:
            dtype: ``fp32``, ``bf16`` or ``fp16``, or torch's names for them.
        """
        self.require_available()
        return load_pretrained(self._folder, dtype=dtype)

    def source(self) -> ModelSource:
        """Returns the folder, from wherever one starts."""
        return ModelSource(str(self._folder.absolute()))

    @property
    def _folder(self) -> Path:
        return Path(self.path).expanduser()


def read_config(folder: Path) -> dict[str, Any]:
    """Returns the content of ``config.json`` in ``folder``.

    Raises:
        DataError: it is not a JSON object.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(
            f"{path} is not JSON ({error}); it must be the configuration of a model; "
            "save the model there again"
        ) from error
    if not isinstance(config, dict):
        raise DataError(
            f"{path} holds a {type(config).__name__}; it must be a JSON object; "
            "save the model there again"
        )
    return config
