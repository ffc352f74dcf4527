"""The configs of our tuners: which layers get an adapter, and what low-rank methods add to it."""

from __future__ import annotations

import math
from collections.abc import Collection
from copy import copy
from dataclasses import dataclass, field
from typing import Literal, Self

from peft import PeftConfig

from sweeper_adapters._patterns import value_of

__all__ = ["AdapterConfig", "LowRankConfig", "PatternedConfig", "build_number_error"]


def build_number_error(method: str, name: str, value: float, *, allowed: str) -> ValueError:
    """Returns the error for a number of a config that is out of its range."""
    return ValueError(f"{method}: {name} is {value}; allowed is {allowed}; change {name}")


@dataclass
class AdapterConfig(PeftConfig):
    """Which layers get an adapter, the same for all our methods."""

    target_modules: list[str] | set[str] | str | None = None
    """Names, or a regular expression, of the layers that get an adapter."""
    exclude_modules: list[str] | set[str] | str | None = None
    """Names, or a regular expression, of layers that get none though they are targets."""
    modules_to_save: list[str] | None = None
    """Layers that are trained whole and saved with the adapter."""
    layers_to_transform: list[int] | int | None = None
    """Indices of the decoder layers that get an adapter; all without it."""
    layers_pattern: list[str] | str | None = None
    """Name of the list of decoder layers, for ``layers_to_transform``."""
    init_weights: bool = True
    """Whether the adapter starts as no change of the model; False is for tests."""

    def __post_init__(self) -> None:
        """Turns lists into sets, as PEFT's configs do."""
        super().__post_init__()  # type: ignore[no-untyped-call]
        if isinstance(self.target_modules, list):
            self.target_modules = set(self.target_modules)
        if isinstance(self.exclude_modules, list):
            self.exclude_modules = set(self.exclude_modules)
        if isinstance(self.target_modules, str) and self.layers_to_transform is not None:
            raise ValueError(
                f"layers_to_transform is {self.layers_to_transform} and target_modules is the "
                f"regular expression {self.target_modules!r}, which says itself in which layers; "
                "allowed with layers_to_transform is a list of names; leave one of the two out"
            )
        if self.layers_pattern and self.layers_to_transform is None:
            raise ValueError(
                f"layers_pattern is {self.layers_pattern!r} but layers_to_transform is not set. "
                "When `layers_pattern` is specified, `layers_to_transform` must also be specified; "
                "set it or leave layers_pattern out"
            )

    def of_layer(
        self,
        name: str,  # noqa: ARG002 - most configs say the same of all layers
    ) -> Self:
        """Returns the config of one layer.

        Args:
            name: of the layer in the base model.
        """
        return self


@dataclass
class LowRankConfig(AdapterConfig):
    """A rank, a scale, and dropout."""

    r: int = 8
    """Rank: rows of each A and columns of each B."""
    alpha: float = 16
    """Scale of the update, divided by the rank or by its square root."""
    dropout: float = 0.0
    """Share of the adapter's inputs set to zero in training; a router sees all of them."""
    scaling: Literal["rank", "sqrt_rank"] = "rank"
    """What alpha is divided by: ``rank`` by r, ``sqrt_rank`` by √r (rsLoRA)."""

    @property
    def scale(self) -> float:
        """What the product of the matrices is multiplied by: s."""
        return self.alpha / (math.sqrt(self.r) if self.scaling == "sqrt_rank" else self.r)

    def _check(self, method: str, *counts: str) -> None:
        """Checks the fields above, and that each field in ``counts`` is 1 or more.

        Raises:
            ValueError: when a value is out of its range.
        """
        for name in ("r", *counts):
            if getattr(self, name) < 1:
                raise build_number_error(method, name, getattr(self, name), allowed="1 or more")
        if not 0 <= self.dropout < 1:
            raise build_number_error(method, "dropout", self.dropout, allowed="0 to below 1")
        self._check_choice(method, "scaling", ("rank", "sqrt_rank"))

    def _check_choice(self, method: str, name: str, known: Collection[str]) -> None:
        """Checks that a field is one of some texts.

        Raises:
            ValueError: when it is another.
        """
        if getattr(self, name) not in known:
            raise ValueError(
                f"{method}: {name} is {getattr(self, name)!r}; allowed is one of "
                f"{', '.join(known)}; change {name}"
            )


@dataclass
class PatternedConfig(LowRankConfig):
    """A rank and a scale that layers may have of their own; for methods that share nothing."""

    rank_pattern: dict[str, int] = field(default_factory=dict)
    """Ranks of layers that have another one than ``r``, as in PEFT's ``LoraConfig``."""
    alpha_pattern: dict[str, float] = field(default_factory=dict)
    """Alphas of layers that have another one than ``alpha``, likewise."""

    def of_layer(self, name: str) -> Self:
        """Returns the config of one layer, with its rank and alpha."""
        own = copy(self)
        own.r = value_of(self.rank_pattern, name, self.r)
        own.alpha = value_of(self.alpha_pattern, name, self.alpha)
        return own

    def _check(self, method: str, *counts: str) -> None:
        super()._check(method, *counts)
        for rank in self.rank_pattern.values():
            if rank < 1:
                raise build_number_error(method, "rank_pattern", rank, allowed="1 or more")
