"""What a method does in training besides forward and backward passes: the hooks of a trial.

The trainer calls them; it knows no method. Parameters and gradients are read and written through
:class:`Parameters`, because an engine may keep them sharded, in pieces or in another dtype.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from torch import Tensor, nn

if TYPE_CHECKING:
    from peft import PeftModel

__all__ = ["ParameterGroup", "Parameters", "Training"]

# The matrices B of an adapter, in PEFT's containers of them and in ours: `lora_B.default.weight`.
_UP_NAME = re.compile(r"_B\.[^.]+\.weight$")


@dataclass(frozen=True)
class ParameterGroup:
    """Trained parameters that AdamW treats alike, as factors of what the trial asks for."""

    parameters: tuple[nn.Parameter, ...]
    learning_rate: float = 1.0
    """Factor of the learning rate."""
    weight_decay: float = 1.0
    """Factor of the weight decay."""
    eps: float = 1.0
    """Factor of AdamW's ε."""


class Parameters(Protocol):
    """Trained parameters and their gradients, whole and in float32, wherever an engine has them.

    All workers must call each method together, for the same parameters in the same order, and with
    the same values. What is returned is a copy.
    """

    def gradient(self, parameter: nn.Parameter) -> Tensor:
        """Returns the gradient of the global batch's loss, zero where there was none.

        Only until the optimiser has stepped. In fp16 it may be infinite; such a step is not
        applied.
        """

    def set_gradient(self, parameter: nn.Parameter, gradient: Tensor) -> None:
        """Replaces it, for the step that follows.

        With a 16-bit base it is rounded to 16 bit, in which the engine keeps gradients.
        """

    def value(self, parameter: nn.Parameter) -> Tensor:
        """Returns the value that the optimiser steps from."""

    def set_value(self, parameter: nn.Parameter, value: Tensor) -> None:
        """Replaces it, and the value that the model computes with."""


class Training:
    """The hooks of a method, one object for each trial and worker; here they do nothing."""

    takes_clipped_gradients = False
    """Whether :meth:`before_step` comes after the clipping of gradients and not, as usual, before.
    For a method that changes their size: what it sets is then stepped with as it is."""

    b_learning_rate_factor = 1.0
    """Learning rate of the matrices B, as a multiple of what their group has otherwise (LoRA+)."""

    def __init__(self, model: PeftModel) -> None:
        self.model = model

    @property
    def virtual_tokens(self) -> int:
        """Positions that the method puts before each sequence."""
        return 0

    def prepare(self, loss: Callable[[int], Tensor]) -> None:
        """Sets initial values that depend on the data; called before the engine starts.

        Args:
            loss: gives the mean loss of the i-th calibration batch, with gradients; the same on
                all workers.
        """

    def facts(self) -> Mapping[str, float]:
        """Returns numbers that a trial's record keeps of what the method has made of the base."""
        return {}

    def groups(self) -> list[ParameterGroup]:
        """Returns all trained parameters, each in one group; the B apart if they have a factor."""
        if self.b_learning_rate_factor == 1:
            return self._own_groups()
        ups = {id(p) for name, p in self.model.named_parameters() if _UP_NAME.search(name)}
        found = []
        for group in self._own_groups():
            for factor, is_up in ((1.0, False), (self.b_learning_rate_factor, True)):
                chosen = tuple(p for p in group.parameters if (id(p) in ups) is is_up)
                rate = group.learning_rate * factor
                if chosen:
                    found.append(replace(group, parameters=chosen, learning_rate=rate))
        return found

    def _own_groups(self) -> list[ParameterGroup]:
        """Returns all trained parameters, each in one group, as the method has them."""
        trained = tuple(p for p in self.model.parameters() if p.requires_grad)
        return [ParameterGroup(trained)]

    def set_task_ids(self, task_ids: Tensor) -> None:
        """Takes the task of each sample of the passes that follow, [B], int64."""

    def auxiliary_loss(self) -> Tensor | None:
        """Returns what the last forward pass adds to the mean loss of its micro-batch, or None."""
        return None

    def before_step(self, parameters: Parameters) -> None:
        """May change gradients before they are clipped and the optimiser steps.

        It is not called where gradients are clipped first, and are not finite.
        """

    def after_step(
        self, parameters: Parameters, *, learning_rate: float, weight_decay: float
    ) -> None:
        """May change parameters after a step that was applied.

        Args:
            parameters: access to them.
            learning_rate: of that step.
            weight_decay: of the trial.
        """

    def state_elements(self) -> int:
        """Returns how many float32 numbers the method keeps on each worker while it trains.

        Those that the optimiser keeps for trained parameters are not counted.
        """
        return 0

    def state(self) -> Mapping[str, Tensor]:
        """Returns what a checkpoint must hold of the method besides trained parameters."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Sets what :meth:`state` returned."""

    def file_elements(self, injected: int) -> int:
        """Returns how many numbers the adapter file holds after training.

        Args:
            injected: how many it would have held right after injection.
        """
        return injected

    @contextmanager
    def finished(self) -> Iterator[None]:
        """Gives the model, while it is open, the form in which the adapter is saved.

        Trained parameters are whole while it is open.
        """
        yield
