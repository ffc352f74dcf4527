"""LoRA, and what its relatives have in common with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from sweeper_adapters.methods._base import LowRankSpec
from sweeper_adapters.methods._facts import ModelShape

if TYPE_CHECKING:
    from peft import PeftConfig

__all__ = ["LoraFamilySpec", "LoraSpec"]


class LoraFamilySpec(LowRankSpec):
    """What LoRA and its relatives have: two matrices a layer, and a scale."""

    def count(self, shape: ModelShape) -> int:
        """Returns ``layers * rank * (in + out)`` summed over the targets."""
        return shape.layers * sum(
            self.rank * (x.in_features + x.out_features) for x in self.adapted(shape)
        )

    def peft_config(self) -> PeftConfig:
        """Returns PEFT's own ``LoraConfig``."""
        return self._lora_config()

    def _lora_config(self, *, use_dora: bool = False, init: bool | str = True) -> PeftConfig:
        from peft import LoraConfig

        return LoraConfig(
            r=self.rank,
            # PEFT divides alpha by r, so a fraction is right though it declares an int.
            lora_alpha=self.alpha,  # type: ignore[arg-type]
            use_rslora=self.scaling == "sqrt_rank",
            lora_dropout=self.dropout,
            use_dora=use_dora,
            # It declares some of the texts that it takes.
            init_lora_weights=init,  # type: ignore[arg-type]
            target_modules=list(self.targets),
            task_type="CAUSAL_LM",
        )


class LoraSpec(LoraFamilySpec):
    """LoRA (arXiv:2106.09685), PEFT's: ``y = W0 x + alpha / rank * B A x``.

    With ``scaling: sqrt_rank`` it is rsLoRA, with a ``b_learning_rate_factor`` above 1 LoRA+; any
    method that has these fields can be trained so. The groups of LoRA+ are those of PEFT's
    ``create_loraplus_optimizer``, the trial's weight decay acts on both.
    """

    source: ClassVar[str] = "Hu et al. 2022, arXiv:2106.09685, Eq. 3"

    name: Literal["lora"] = "lora"
    """Tag of this method."""

    @property
    def exports_lora(self) -> bool:
        """True: it is one."""
        return True
