"""What PEFT's tuners need in training: fixed numbers in the dtype that an engine trains in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from peft.tuners._buffer_dict import BufferDict
from torch import Tensor

from sweeper_adapters.training import Training

if TYPE_CHECKING:
    from peft import PeftModel

__all__ = ["PeftTraining"]


class PeftTraining(Training):
    """Gives the buffers of an adapter the dtype of the base.

    PEFT makes them float32 as it does the parameters, on a 16-bit base, too. DeepSpeed then casts
    the parameters alone, and a product of both would be one of two dtypes.
    """

    def __init__(self, model: PeftModel) -> None:
        super().__init__(model)
        frozen = (p for p in model.parameters() if not p.requires_grad)
        self._dtype = next(frozen).dtype

    def prepare(self, loss: Callable[[int], Tensor]) -> None:
        """Casts the buffers, as the engine is about to cast the parameters.

        Args:
            loss: not asked for.
        """
        del loss
        for module in self.model.modules():
            if isinstance(module, BufferDict):
                for name, buffer in list(module.named_buffers(recurse=False)):
                    if buffer.is_floating_point():
                        module[name] = buffer.to(self._dtype)
