"""LoRA and what PEFT makes of it by a flag."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from sweeper_adapters.methods._base import MethodSpec, ModelShape

if TYPE_CHECKING:
    from peft import PeftConfig

__all__ = ["LoraSpec"]


class LoraSpec(MethodSpec):
    """LoRA (arXiv:2106.09685), PEFT's: ``y = W0 x + alpha / rank * B A x``."""

    source: ClassVar[str] = "Hu et al. 2022, arXiv:2106.09685, Eq. 3"

    name: Literal["lora"] = "lora"
    """Tag of this method."""
    rank: int = Field(default=8, ge=1)
    """Rows of A and columns of B."""
    alpha: float = Field(default=16, gt=0)
    """Scale of the update, divided by the rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the adapter's inputs set to zero in training."""

    @property
    def exports_lora(self) -> bool:
        """True: it is one."""
        return True

    def count(self, shape: ModelShape) -> int:
        """Returns ``layers * rank * (in + out)`` summed over the targets."""
        return shape.layers * sum(
            self.rank * (x.in_features + x.out_features) for x in self.adapted(shape)
        )

    def peft_config(self) -> PeftConfig:
        """Returns PEFT's own ``LoraConfig``."""
        from peft import LoraConfig

        return LoraConfig(
            r=self.rank,
            # PEFT divides alpha by r, so a fraction is right though it declares an int.
            lora_alpha=self.alpha,  # type: ignore[arg-type]
            lora_dropout=self.dropout,
            target_modules=list(self.targets),
            task_type="CAUSAL_LM",
        )

    def _size_problems(self, shape: ModelShape) -> Iterator[tuple[str, str]]:
        yield from self._rank_problems(shape, rank=self.rank)
