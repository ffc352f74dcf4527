"""What VB-LoRA does in training: its logits have a learning rate, and a file, of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sweeper_adapters.training import ParameterGroup, Training

if TYPE_CHECKING:
    from peft import PeftModel

__all__ = ["VbloraTraining"]


class VbloraTraining(Training):
    """Trains the logits with another learning rate than the bank."""

    def __init__(self, model: PeftModel, *, logits_learning_rate: float) -> None:
        super().__init__(model)
        self._factor = logits_learning_rate

    def _own_groups(self) -> list[ParameterGroup]:
        """Returns the bank, and the logits with their factor of the learning rate."""
        trained = [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]
        bank = tuple(p for n, p in trained if "vblora_logits" not in n)
        logits = tuple(p for n, p in trained if "vblora_logits" in n)
        return [ParameterGroup(bank), ParameterGroup(logits, learning_rate=self._factor)]

    @contextmanager
    def finished(self) -> Iterator[None]:
        """Has the weights of the top vectors saved in float32, while it is open.

        PEFT 0.21 makes float32 logits of them when it loads, and takes no others; what is left to
        the last vector, 1 minus the others' weights, would be lost in 16 bit, too.
        """
        config: Any = self.model.active_peft_config
        logits = [p for n, p in self.model.named_parameters() if "vblora_logits" in n]
        trained = {p: p.data for p in logits} if config.save_only_topk_weights else {}
        for parameter, value in trained.items():
            parameter.data = value.float()
        try:
            yield
        finally:
            for parameter, value in trained.items():
                parameter.data = value
