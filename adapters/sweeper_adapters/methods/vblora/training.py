"""What VB-LoRA does in training: its logits have a learning rate of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sweeper_adapters.training import ParameterGroup, Training

if TYPE_CHECKING:
    from peft import PeftModel

__all__ = ["VbloraTraining"]


class VbloraTraining(Training):
    """Trains the logits with another learning rate than the bank."""

    def __init__(self, model: PeftModel, *, logits_learning_rate: float) -> None:
        super().__init__(model)
        self._factor = logits_learning_rate

    def groups(self) -> list[ParameterGroup]:
        """Returns the bank, and the logits with their factor of the learning rate."""
        trained = [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]
        bank = tuple(p for n, p in trained if "vblora_logits" not in n)
        logits = tuple(p for n, p in trained if "vblora_logits" in n)
        return [ParameterGroup(bank), ParameterGroup(logits, learning_rate=self._factor)]
