"""What MASA's control arm does in training: the larger step on A."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from sweeper_adapters.training import ParameterGroup, Training

if TYPE_CHECKING:
    from peft import PeftModel

__all__ = ["ControlTraining"]


class ControlTraining(Training):
    """Training of MASA's control arm: A with N times the learning rate and 1/N the weight decay."""

    def __init__(self, model: PeftModel, *, experts: int) -> None:
        super().__init__(model)
        self._experts = experts

    def _own_groups(self) -> list[ParameterGroup]:
        """Returns the A, and what is none."""
        down: list[nn.Parameter] = []
        rest: list[nn.Parameter] = []
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad:
                (down if ".masa_A." in name else rest).append(parameter)
        return [
            ParameterGroup(tuple(rest)),
            ParameterGroup(tuple(down), self._experts, 1 / self._experts),
        ]
