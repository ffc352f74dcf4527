"""QLoRA."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar, Literal

from sweeper_adapters.methods._facts import EngineFacts
from sweeper_adapters.methods.lora.spec import LoraFamilySpec

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["QloraSpec"]


class QloraSpec(LoraFamilySpec):
    """QLoRA (arXiv:2305.14314): PEFT's LoRA on a base that bitsandbytes quantises to 4 bit.

    Eq. 5 of the paper: ``y = dequantise(W0) x + alpha / rank * B A x``. All linear layers but the
    output are quantised, targets or not, in blocks of 64. The paged optimiser is not part of it.

    The adapter belongs to the quantised base. On weights in full precision its outputs are others,
    so it is neither merged with them nor exported as a LoRA of them.
    """

    source: ClassVar[str] = "Dettmers et al. 2023, arXiv:2305.14314, Eqs. 5 and 6"
    start_tolerance: ClassVar[float | None] = None
    changes_base: ClassVar[bool] = True

    name: Literal["qlora"] = "qlora"
    """Tag of this method."""
    quantisation: Literal["nf4", "fp4"] = "nf4"
    """The 16 values of a weight: normal float, or floating point."""
    double_quantisation: bool = True
    """Whether the scales of the blocks are quantised to 8 bit, too (Eq. 6)."""

    @property
    def is_mergeable(self) -> bool:
        """False: the merged weights would have to be quantised again."""
        return False

    def engine_problems(self, engine: EngineFacts) -> list[tuple[str, str]]:
        """Returns what keeps it from being trained: without bitsandbytes there are no such layers.

        Args:
            engine: of no meaning; bitsandbytes computes on GPUs and CPUs.
        """
        del engine
        if find_spec("bitsandbytes") is not None:
            return []
        return [
            (
                "name",
                "qlora needs bitsandbytes, which is not installed here; it must be on every "
                "machine of the cluster; install masa-mosa-sweeper[quantization]",
            )
        ]

    def prepare_base(self, model: PreTrainedModel) -> None:
        """Quantises the model's linear layers; whoever loads the adapter must do so first."""
        from sweeper_adapters.methods.qlora.quantisation import quantise

        quantise(model, kind=self.quantisation, double=self.double_quantisation)
