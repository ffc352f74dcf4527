"""MultiLoRA."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from sweeper_adapters.methods._facts import ModelShape
from sweeper_adapters.methods._low_rank import LowRankSpec
from sweeper_adapters.methods._named_tuner import Tuner

if TYPE_CHECKING:
    from peft import PeftConfig

__all__ = ["MultiLoraSpec"]


class MultiLoraSpec(LowRankSpec):
    """MultiLoRA: LoRAs side by side, ``y = W0 x + alpha / rank * sum_i c_i * (B_i A_i x)``.

    The scales c_i, one for each output, start as zero; A_i and B_i are random. Each LoRA has the
    rank ``rank``, and all together are one LoRA of rank ``parallel * rank``.

    Tables of other papers give it the parameters of that LoRA (0.5196 % of LLaMA3-8B with two LoRAs
    of rank 8), which leaves the scales out; they are trained and counted here: 0.5535 %.
    """

    source: ClassVar[str] = "Wang et al. 2023, MultiLoRA, arXiv:2311.11501"
    tuner: ClassVar[Tuner | None] = Tuner("MULTILORA", folder="multilora", stem="MultiLora")

    name: Literal["multilora"] = "multilora"
    """Tag of this method."""
    parallel: int = Field(default=2, ge=1, le=64)
    """LoRAs side by side: n in the paper."""

    @property
    def exports_lora(self) -> bool:
        """True: of rank ``parallel * rank``."""
        return True

    def count(self, shape: ModelShape) -> int:
        """Returns the parameters of all A, B and scales."""
        return (
            shape.layers
            * self.parallel
            * sum(
                self.rank * (x.in_features + x.out_features) + x.out_features
                for x in self.adapted(shape)
            )
        )

    def peft_config(self) -> PeftConfig:
        """Returns our ``MultiLoraConfig``."""
        from sweeper_adapters.methods.multilora.tuner import MultiLoraConfig

        return MultiLoraConfig(
            r=self.rank,
            alpha=self.alpha,
            scaling=self.scaling,
            parallel=self.parallel,
            dropout=self.dropout,
            target_modules=list(self.targets),
            task_type="CAUSAL_LM",
        )
