"""What methods of PEFT need in training besides forward and backward passes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from sweeper_adapters.training import ParameterGroup, Training

if TYPE_CHECKING:
    from peft import PeftModel

__all__ = ["PissaTraining", "PromptTraining", "VbloraTraining"]


class PromptTraining(Training):
    """Counts the virtual tokens in; saves what the encoder makes of them, and not the encoder."""

    @property
    def virtual_tokens(self) -> int:
        """Positions that the method puts before each sequence."""
        config: Any = self.model.active_peft_config
        return int(config.num_virtual_tokens)

    @contextmanager
    def finished(self) -> Iterator[None]:
        """Puts a table of the virtual tokens in the place of the encoder while it is open.

        PEFT runs the encoder when it saves. Under ZeRO-3 all workers must run it, and one saves.
        """
        name = self.model.active_adapter
        model: Any = self.model
        config, encoder = model.peft_config[name], model.prompt_encoder[name]
        some = next(encoder.parameters())
        if some.is_meta:
            # PEFT copies them to the CPU, where parameters that are only counted cannot go.
            tokens = some.new_empty(config.num_virtual_tokens, config.token_dim)
        else:
            tokens = model.get_prompt_embedding_to_save(name)
        trained, encoder.embedding = encoder.embedding, _table(tokens)
        config.inference_mode = True
        try:
            yield
        finally:
            encoder.embedding = trained
            config.inference_mode = False


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


class PissaTraining(Training):
    """Saves the adapter as the LoRA of twice the rank that does the same on the original base."""

    def __init__(self, model: PeftModel) -> None:
        super().__init__(model)
        name = model.active_adapter
        layers: list[Any] = [layer for layer in model.modules() if isinstance(layer, LoraLayer)]
        self._first: dict[Any, tuple[Tensor, Tensor]] = {
            layer: (_on_cpu(layer.lora_A[name]), _on_cpu(layer.lora_B[name])) for layer in layers
        }

    def file_elements(self, injected: int) -> int:
        """Returns twice as many: what was trained, and what it began with."""
        return 2 * injected

    @contextmanager
    def finished(self) -> Iterator[None]:
        """Makes it that LoRA while it is open: ``B A - B_0 A_0 = [B, -B_0] [A; A_0]``."""
        name = self.model.active_adapter
        config: Any = self.model.peft_config[name]
        trained = {layer: (layer.lora_A[name], layer.lora_B[name]) for layer in self._first}
        before = (config.r, config.lora_alpha, config.init_lora_weights)
        # The scale, which is alpha through r, stays.
        config.r, config.lora_alpha, config.init_lora_weights = 2 * before[0], 2 * before[1], True
        for layer, (a, b) in self._first.items():
            layer.lora_A[name] = _joined(layer.lora_A[name].weight, a, dim=0)
            layer.lora_B[name] = _joined(layer.lora_B[name].weight, -b, dim=1)
        try:
            yield
        finally:
            config.r, config.lora_alpha, config.init_lora_weights = before
            for layer, (a, b) in trained.items():
                layer.lora_A[name], layer.lora_B[name] = a, b


def _table(tokens: Tensor) -> nn.Embedding:
    return nn.Embedding(tokens.shape[0], tokens.shape[1], _weight=tokens)


def _on_cpu(side: nn.Linear) -> Tensor:
    # Where parameters are only counted there are no values to copy.
    device = "meta" if side.weight.is_meta else "cpu"
    return side.weight.detach().to(device, copy=True)


def _joined(trained: Tensor, first: Tensor, *, dim: int) -> nn.Linear:
    """Returns a linear layer with both weights, one under the other or side by side."""
    weight = torch.cat([trained.detach(), first.to(trained)], dim=dim)
    joined = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    joined.weight = nn.Parameter(weight, requires_grad=False)
    return joined
