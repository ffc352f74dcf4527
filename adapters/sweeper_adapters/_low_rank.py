"""What the configs of tuners have that add products of low-rank matrices, as LoRA does."""

from __future__ import annotations

from dataclasses import dataclass

from sweeper_adapters._tuner import AdapterConfig, number_error

__all__ = ["LowRankConfig"]


@dataclass
class LowRankConfig(AdapterConfig):
    """A rank, a scale, and dropout."""

    r: int = 8
    """Rank: rows of each A and columns of each B."""
    alpha: float = 16
    """Scale of the update, divided by the rank."""
    dropout: float = 0.0
    """Share of the adapter's inputs set to zero in training; a router sees all of them."""

    def _check(self, method: str, *counts: str) -> None:
        """Checks the fields above, and that each field in ``counts`` is 1 or more.

        Raises:
            ValueError: when a value is out of its range.
        """
        for name in ("r", *counts):
            if getattr(self, name) < 1:
                raise number_error(method, name, getattr(self, name), allowed="1 or more")
        if not 0 <= self.dropout < 1:
            raise number_error(method, "dropout", self.dropout, allowed="0 to below 1")
