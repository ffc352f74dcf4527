"""DoRA."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from sweeper_adapters.methods._facts import ModelShape
from sweeper_adapters.methods.lora.spec import LoraFamilySpec

if TYPE_CHECKING:
    from peft import PeftConfig

__all__ = ["DoraSpec"]


class DoraSpec(LoraFamilySpec):
    """DoRA (arXiv:2402.09353), PEFT's: the rows of W0 + s B A are given trained lengths m.

    Eq. 5 of the paper: ``y = m / |W0 + s B A| * (W0 + s B A) x``, with the length |.| of each row
    of the weight (an output), which starts as m and is a constant in the backward pass (section
    4.3). With dropout PEFT multiplies W0 with the dropped inputs too, as the original does. On a
    16-bit base it rounds the first lengths to 16 bit, and training starts off by that.
    ``b_learning_rate_factor`` is of B alone: the lengths keep the trial's learning rate, where
    PEFT's ``create_loraplus_optimizer`` gives them that of B.
    """

    source: ClassVar[str] = "Liu et al. 2024, arXiv:2402.09353, Eq. 5 and section 4.3"

    name: Literal["dora"] = "dora"
    """Tag of this method."""

    def count(self, shape: ModelShape) -> int:
        """Returns LoRA's parameters and one length for each output of a target."""
        lengths = sum(x.out_features for x in self.adapted(shape)) * len(self._layer_indices(shape))
        return super().count(shape) + lengths

    def peft_config(self) -> PeftConfig:
        """Returns PEFT's own ``LoraConfig`` with ``use_dora``."""
        return self._lora_config(use_dora=True)
