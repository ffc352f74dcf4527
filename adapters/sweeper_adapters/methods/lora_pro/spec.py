"""LoRA-Pro: a step of the optimiser, not a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from sweeper_adapters.methods._facts import EngineFacts
from sweeper_adapters.methods.lora.spec import LoraFamilySpec

if TYPE_CHECKING:
    from peft import PeftModel

    from sweeper_adapters.training import Training

__all__ = ["LoraProSpec"]


class LoraProSpec(LoraFamilySpec):
    """LoRA-Pro (arXiv:2407.18242): PEFT's LoRA, trained with gradients nearest to the full one's.

    Before each step the gradients of A and B are replaced by those of section 2 of the paper (see
    ``training.py`` here beside); AdamW then runs on these, with its weight decay on A and B. That
    is mode "efficient" of the authors' AdamW (``peta/optim.py`` of github.com/mrflogs/
    LoRA-Pro, commit 2d8f44a). Its mode "full" is not here: it keeps AdamW's moments for the
    equivalent gradient, two numbers for each weight of the model, adjusts what comes out of them,
    and lets weight decay work on the frozen weights, too. Which tables of the paper used which mode
    is not known to us.

    Departures: the authors add 1e-8 to the eigenvalues of B'B and AA' whatever their size; here it
    is a share of the largest one (``damping``). Their formula gives A no step while B is zero, and
    so does the paper's here, since A's gradient is zero then.
    """

    source: ClassVar[str] = "Wang et al. 2025, arXiv:2407.18242, section 2"

    name: Literal["lora_pro"] = "lora_pro"
    """Tag of this method."""
    damping: float = Field(default=1e-8, ge=1e-12, le=1e-2)
    """Share of the largest eigenvalue that is added to all eigenvalues of B'B and of AA', which are
    inverted; keeps steps bounded where columns of B are nearly dependent."""

    @property
    def exports_lora(self) -> bool:
        """True: it is one."""
        return True

    def engine_problems(self, engine: EngineFacts) -> list[tuple[str, str]]:
        """Returns a problem for fp16, which does not hold the adjusted gradients."""
        if engine.precision != "fp16":
            return []
        return [
            (
                "engine.precision",
                "engine.precision is 'fp16' but lora_pro's gradients grow with the inverse of B "
                "beyond fp16's largest number; allowed are 'fp32' and 'bf16'; use one of these",
            )
        ]

    def _hooks(self, model: PeftModel, *, steps: int) -> Training:
        """Returns the hooks that adjust the gradients."""
        from sweeper_adapters.methods.lora_pro.training import LoraProTraining

        del steps  # no schedule of its own
        return LoraProTraining(model, damping=self.damping)
