"""What QLoRA does in training: it says how much of the base is kept in 4 bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sweeper_adapters.methods.qlora.quantisation import measure_quantised
from sweeper_adapters.training import Training

if TYPE_CHECKING:
    from peft import PeftModel

__all__ = ["QloraTraining"]


class QloraTraining(Training):
    """Training on a base of 4 bit."""

    def __init__(self, model: PeftModel) -> None:
        super().__init__(model)
        # Before an engine keeps weights in pieces.
        self._layers, self._share = measure_quantised(
            model, (p for p in model.parameters() if not p.requires_grad)
        )

    def facts(self) -> Mapping[str, float]:
        """Returns how many layers are kept in 4 bit, and what share of the base's weights."""
        return {"quantised_layers": float(self._layers), "quantised_share": self._share}
