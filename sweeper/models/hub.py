"""Models of the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from sweeper import _environment
from sweeper.errors import BadInputError, MissingError
from sweeper.models.local import read_config
from sweeper.models.shapes import architecture
from sweeper.models.source import BaseModelSpec, LoadedModel, ModelSource, load_pretrained

__all__ = ["HubModelSpec"]


class HubModelSpec(BaseModelSpec):
    """A model of the Hub by name."""

    kind: Literal["hub"] = "hub"
    """The model is on the Hub."""
    name: str = Field(pattern=r"^[^/\s]+(/[^/\s]+)?$")
    """``owner/name`` on the Hub."""
    revision: str = "main"
    """Branch, tag or commit. Only a commit guarantees that all trials use the same weights."""
    architecture: str | None = None
    """Packaged configuration with this model's shape, so that planning needs no network; null reads
    the model's own ``config.json``."""

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
            raise self._missing(str(error)) from error
        return read_config(Path(path).parent)

    def require_available(self) -> None:
        """Looks whether the model can be had, without asking the Hub.

        Raises:
            MissingError: the Hub is switched off and the model is not in its cache.
        """
        if not _environment.is_hub_offline():
            return
        from huggingface_hub import try_to_load_from_cache

        if not isinstance(
            try_to_load_from_cache(self.name, "config.json", revision=self.revision), str
        ):
            raise self._missing(
                "it is not in the Hub's cache and HF_HUB_OFFLINE forbids a download"
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
        try:
            loaded = load_pretrained(self.name, dtype=dtype, revision=self.revision)
        except (OSError, ValueError) as error:
            raise self._missing(str(error)) from error
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

    def _missing(self, reason: str) -> MissingError:
        return MissingError(
            f"the model {self.name} (revision {self.revision}) cannot be had: {reason}; it must be "
            f"on the Hub, or in its cache; run: hf download --revision {self.revision} {self.name} "
            "(after `hf auth login` if its licence must be accepted)"
        )
