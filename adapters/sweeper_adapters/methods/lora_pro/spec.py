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
    ``gradients.py`` here beside). The authors' AdamW (``peta/optim.py`` of github.com/mrflogs/
    LoRA-Pro, commit 2d8f44a) has two modes. In ``efficient`` AdamW runs on these gradients, with
    its weight decay on A and B. In ``full`` its moments are those of the equivalent gradient of
    each weight, and what comes out of them is adjusted once more: what AdamW on the weights
    themselves would do, as near as A and B can.

    Which table is of which mode: that of Llama-2-7B on dialogue, mathematics and code (section 3.2)
    is of ``full`` by the authors' scripts (``scripts/llama-2-7b_transformers.sh``, commit 274eb9d,
    with their DeepSpeed of commit fe26027): rank 8, alpha 16, a learning rate of 2e-5, no weight
    decay. Their scripts of commit 2d8f44a run the same tasks in ``efficient`` with ``scaling:
    sqrt_rank``. For T5 on GLUE (section 3.1) and CLIP (section 3.3) there are no scripts.

    Departures: the authors add 1e-8 to the eigenvalues of B'B and AA' whatever their size, as
    ``full`` does here; in ``efficient`` it is a share of the largest one. Their formula gives A no
    step while B is zero, and so does the paper's here, since A's gradient is zero then. Gradients
    are clipped before they are adjusted; their DeepSpeed clips the steps by the norm of the
    gradients. In ``full`` they keep the moments in bfloat16, here they are float32, and on every
    worker; and their weight decay acts on the frozen weights, too, here on the update B A alone.
    """

    source: ClassVar[str] = "Wang et al. 2025, arXiv:2407.18242, section 2"

    name: Literal["lora_pro"] = "lora_pro"
    """Tag of this method."""
    mode: Literal["efficient", "full"] = Field(
        default="efficient", exclude_if=lambda mode: mode == "efficient"
    )
    """Whose moments AdamW keeps: ``efficient`` those of A and B, ``full`` those of the equivalent
    gradient: two float32 numbers for each weight of a target, on every worker and in every
    checkpoint."""
    damping: float = Field(default=1e-8, ge=1e-12, le=1e-2)
    """Share of the largest eigenvalue that is added to all eigenvalues of B'B and of AA', which are
    inverted; keeps steps bounded where columns of B are nearly dependent. In mode ``full`` it is
    added as it is, and bounds the steps of A while B is tiny, too."""

    @property
    def exports_lora(self) -> bool:
        """True: it is one."""
        return True

    @property
    def has_own_moments(self) -> bool:
        """Whether the moments are those of the equivalent gradient."""
        return self.mode == "full"

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
        from sweeper_adapters.methods.lora_pro.training import FullTraining, LoraProTraining

        del steps  # no schedule of its own
        kind = FullTraining if self.mode == "full" else LoraProTraining
        return kind(model, damping=self.damping)
