"""MoELoRA, and the mixture of LoRA experts that LoRAMoE has in common with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from sweeper_adapters.methods._facts import ModelShape
from sweeper_adapters.methods._low_rank import ExpertsSpec
from sweeper_adapters.methods._named_tuner import Tuner

if TYPE_CHECKING:
    from peft import PeftConfig

__all__ = ["MixtureSpec", "MoeLoraSpec"]


class MixtureSpec(ExpertsSpec):
    """What MoELoRA and LoRAMoE have in common: the layer."""

    tuner: ClassVar[Tuner | None] = Tuner("MOELORA", folder="moelora", stem="Moe")

    experts: int = Field(default=2, ge=1, le=256)
    """Experts of each layer."""

    @property
    def is_mergeable(self) -> bool:
        """False: the weights of the experts depend on the input."""
        return False

    def count(self, shape: ModelShape) -> int:
        """Returns the parameters of all A, B and routers."""
        return sum(
            shape.layers
            * self.experts
            * (self.rank * (linear.in_features + linear.out_features) + linear.in_features)
            for linear in self.adapted(shape)
        )

    def peft_config(self) -> PeftConfig:
        """Returns our ``MoeConfig``."""
        from sweeper_adapters.methods.moelora.tuner import MoeConfig

        return MoeConfig(
            r=self.rank,
            alpha=self.alpha,
            scaling=self.scaling,
            num_experts=self.experts,
            dropout=self.dropout,
            expert_dropout=self.expert_dropout,
            target_modules=list(self.targets),
            task_type="CAUSAL_LM",
        )


class MoeLoraSpec(MixtureSpec):
    """MoELoRA: LoRA experts whose outputs a router weighs token by token.

    ``y = W0 x + alpha / rank * Σ_i p_i(x) B_i A_i x`` with ``p = softmax(W_g x)``: the layer of
    LoRAMoE without its loss. This is what MASA's tables count under the name. The paper that first
    has the name (arXiv:2310.18339) shares the rank out among the experts, and its gate sees the
    task in the place of the token. One dropout mask is drawn for all experts; the authors of both
    methods draw one for each, which is ``expert_dropout: each``.
    """

    source: ClassVar[str] = "LoRAMoE, arXiv:2312.09979, its layer; MASA, Table 2"

    name: Literal["moelora"] = "moelora"
    """Tag of this method."""
