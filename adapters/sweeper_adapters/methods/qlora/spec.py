"""QLoRA."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar, Literal

from sweeper_adapters.methods._facts import EngineFacts
from sweeper_adapters.methods.lora.spec import LoraFamilySpec

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from sweeper_adapters.training import Training

__all__ = ["QloraSpec"]


class QloraSpec(LoraFamilySpec):
    """QLoRA (arXiv:2305.14314): PEFT's LoRA on a base that bitsandbytes quantises to 4 bit.

    Eq. 5 of the paper: ``y = dequantise(W0) x + alpha / rank * B A x``. All linear layers but the
    output are quantised, targets or not, in blocks of 64; so are those of GPT-2 and Falcon, which
    are of classes of their own. Stacked weights of experts are not. A trial records how many layers
    are (``quantised_layers``), and how much of the base's weights they hold (``quantised_share``);
    a model without any is refused. The paged optimiser is not part of it.

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

    def _hooks(
        self,
        model: PeftModel,
        *,
        steps: int,  # noqa: ARG002 - the base class's signature
    ) -> Training:
        """Returns training that says how much of the base is kept in 4 bit."""
        from sweeper_adapters.methods.qlora.training import QloraTraining

        return QloraTraining(model)

    def prepare_base(self, model: PreTrainedModel) -> None:
        """Quantises the model's linear layers; whoever loads the adapter must do so first."""
        from sweeper_adapters.methods.qlora.quantisation import quantise

        quantise(model, kind=self.quantisation, double=self.double_quantisation)
