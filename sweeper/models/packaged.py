"""Models of which only the shape is here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import field_validator

from sweeper.errors import MissingError
from sweeper.models.inspection import TokenCheck
from sweeper.models.shapes import architecture
from sweeper.models.source import BaseModelSpec, LoadedModel, ModelSource

__all__ = ["ArchitectureModelSpec"]


class ArchitectureModelSpec(BaseModelSpec):
    """A packaged architecture without weights: parameters can be counted on it, nothing trained."""

    kind: Literal["architecture"] = "architecture"
    """Only a shape, without weights."""
    name: str
    """Name of a packaged configuration."""

    @field_validator("name")
    @classmethod
    def _is_packaged(cls, name: str) -> str:
        architecture(name)
        return name

    def config(self) -> Mapping[str, Any]:
        """Returns the packaged configuration."""
        return architecture(self.name)

    def require_available(self) -> None:
        """Always raises: there is nothing that could be loaded.

        Raises:
            MissingError: always.
        """
        raise MissingError(
            f"the model is the architecture {self.name!r} without weights; it allows planning and "
            "counting only; to train, use a profile whose model has weights"
        )

    def inspect(self, *, max_length: int, virtual_tokens: int = 0) -> TokenCheck:
        """Always raises.

        Args:
            max_length: of rows that no model reads.
            virtual_tokens: before each of them.

        Raises:
            MissingError: always.
        """
        self.require_available()
        raise AssertionError(max_length, virtual_tokens)

    def load(self, dtype: str) -> LoadedModel:
        """Always raises.

        Args:
            dtype: of the weights that there are not.

        Raises:
            MissingError: always.
        """
        self.require_available()
        raise AssertionError(dtype)

    def source(self) -> ModelSource:
        """Always raises.

        Raises:
            MissingError: always.
        """
        self.require_available()
        raise AssertionError
