"""Models of the Hugging Face Hub."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from sweeper import _environment
from sweeper._text import shorten
from sweeper.errors import BadInputError, MissingError
from sweeper.models.inspection import TokenCheck, inspect_model, require_intact
from sweeper.models.reading import read_config
from sweeper.models.shapes import architecture, shape_of
from sweeper.models.source import BaseModelSpec, LoadedModel, ModelSource, load_pretrained
from sweeper_adapters.methods import ModelShape

__all__ = ["HubModelSpec"]

# The Hub's own rules (huggingface_hub's validate_repo_id), which a spec checks without importing
# it; two in a row are no name either.
_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_PART}(?:/{_PART})?")
_NAME_LETTERS = 96


class HubModelSpec(BaseModelSpec):
    """A model of the Hub by name."""

    kind: Literal["hub"] = "hub"
    """The model is on the Hub."""
    name: str
    """``owner/name`` on the Hub."""
    revision: str = Field(default="main", pattern=r"^[A-Za-z0-9_][A-Za-z0-9._/+-]{0,199}$")
    """Branch, tag or commit. Only a commit guarantees that all trials use the same weights."""
    architecture: str | None = None
    """Packaged configuration with this model's shape, so that planning needs no network; null reads
    the model's own ``config.json``."""

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        is_whole = _NAME.fullmatch(name) is not None and len(name) <= _NAME_LETTERS
        if not is_whole or "--" in name or ".." in name or name.endswith(".git"):
            raise ValueError(
                f"{shorten(repr(name), limit=120)} is no name of the Hub; it must be owner/name, "
                f"of letters, digits, '-', '_' and '.', at most {_NAME_LETTERS} in all; for a "
                "folder use kind: folder with its path"
            )
        return name

    @field_validator("revision")
    @classmethod
    def _revision_is_inside(cls, revision: str) -> str:
        if ".." in revision:
            raise ValueError(f"{revision!r} is no revision; it must be a branch, tag or commit")
        return revision

    @field_validator("architecture")
    @classmethod
    def _architecture_is_packaged(cls, name: str | None) -> str | None:
        if name is not None:
            architecture(name)
        return name

    def config(self) -> Mapping[str, Any]:
        """Returns the packaged configuration, else the Hub's ``config.json`` (cached after once).

        Raises:
            MissingError: none is packaged, and the Hub's cannot be had.
        """
        if self.architecture is not None:
            return architecture(self.architecture)
        from huggingface_hub import hf_hub_download

        try:
            path = hf_hub_download(self.name, "config.json", revision=self.revision)
        except (OSError, ValueError) as error:
            raise self._missing(shorten(error, limit=300)) from error
        return read_config(Path(path).parent)

    def shape_at_hand(self) -> ModelShape | None:
        """Returns the shape by the packaged configuration, or by that of the Hub's cache."""
        if self.architecture is not None:
            return self.shape()
        folder = self._cached()
        return None if folder is None else shape_of(read_config(folder))

    def require_available(self) -> None:
        """Looks whether the model can be had, without asking the Hub.

        Raises:
            MissingError: the Hub is switched off and the model is not in its cache.
        """
        if not _environment.is_hub_offline():
            return
        if self._cached() is None:
            raise self._missing(
                "it is not in the Hub's cache and HF_HUB_OFFLINE forbids a download"
            )

    def inspect(self, *, max_length: int, virtual_tokens: int = 0) -> TokenCheck:
        """Looks at all of the model but the values of its weights.

        Configuration and tokenizer are downloaded where they are not in the Hub's cache. Weights
        that are not there are looked at after their download, when the model is loaded.

        Args:
            max_length: tokens of the longest row of a trial.
            virtual_tokens: most that a method puts before each row.

        Raises:
            BadInputError: it cannot be trained on.
        """
        self.require_available()
        return inspect_model(
            self.model_copy(update={"architecture": None}).config(),
            folder=self._whole_copy(),
            tokenizer=self.name,
            revision=self.revision,
            max_length=max_length,
            virtual_tokens=virtual_tokens,
            subject=f"the model {self.name}",
        )

    def load(self, dtype: str) -> LoadedModel:
        """Returns the model, frozen, and its tokenizer; downloads what is not in the Hub's cache.

        Args:
            dtype: ``fp32``, ``bf16`` or ``fp16``, or torch's names for them.

        Raises:
            MissingError: it cannot be had.
            BadInputError: it is not of the architecture that the spec names.
        """
        self.require_available()
        loaded = load_pretrained(
            self.name, dtype=dtype, revision=self.revision, remedy=self._remedy()
        )
        expected = self.shape().total_parameters
        if (found := loaded.model.num_parameters()) != expected:
            raise BadInputError(
                f"{self.name} has {found:,} parameters but architecture {self.architecture!r} has "
                f"{expected:,}; both must be the same model; correct model.architecture, or set it "
                "to null"
            )
        return loaded

    def source(self) -> ModelSource:
        """Returns the name on the Hub, and the revision."""
        return ModelSource(self.name, self.revision)

    def _cached(self) -> Path | None:
        """Returns the folder of the Hub's cache that has the model's config.json, if there is."""
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(self.name, "config.json", revision=self.revision)
        return Path(found).parent if isinstance(found, str) else None

    def _whole_copy(self) -> Path | None:
        """Returns the folder of the Hub's cache with all files; None where some are still to come.

        Raises:
            BadInputError: a file is damaged, or is missing and cannot come.
        """
        folder = self._cached()
        if folder is None:
            return None
        try:
            require_intact(folder)
        except MissingError:
            if _environment.is_hub_offline():
                raise
            return None
        return folder

    def _missing(self, reason: str) -> MissingError:
        return MissingError(
            f"the model {self.name} (revision {self.revision}) cannot be had: {reason}; it must be "
            f"on the Hub, or in its cache; {self._remedy()}"
        )

    def _remedy(self) -> str:
        return (
            f"run: hf download --revision {self.revision} {self.name} "
            "(after `hf auth login` if its licence must be accepted)"
        )
