"""HiRA."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from sweeper_adapters.methods._base import MethodSpec
from sweeper_adapters.methods._facts import ModelShape

if TYPE_CHECKING:
    from peft import PeftConfig

__all__ = ["HiraSpec"]


class HiraSpec(MethodSpec):
    """HiRA (ICLR 2025), PEFT's: ``y = (W0 + W0 * (B A)) x``, with the elementwise product.

    The update has the rank of W0. It has no scale of its own, and so no ``scaling``.
    """

    source: ClassVar[str] = (
        "Huang et al. 2025, ICLR, the paper's W0 + W0 * (B A); openreview TwJrTz9cRS"
    )

    name: Literal["hira"] = "hira"
    """Tag of this method."""
    rank: int = Field(default=32, ge=1)
    """Rows of A and columns of B."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the adapter's inputs set to zero in training."""

    def count(self, shape: ModelShape) -> int:
        """Returns ``layers * rank * (in + out)`` summed over the targets: LoRA's."""
        return shape.layers * sum(
            self.rank * (x.in_features + x.out_features) for x in self.adapted(shape)
        )

    def peft_config(self) -> PeftConfig:
        """Returns PEFT's own ``HiraConfig``."""
        from peft import HiraConfig

        return HiraConfig(
            r=self.rank,
            hira_dropout=self.dropout,
            target_modules=list(self.targets),
            task_type="CAUSAL_LM",
        )

    def _size_problems(self, shape: ModelShape) -> Iterator[tuple[str, str]]:
        yield from self._rank_problems(shape, rank=self.rank)
