r"""LoRA-Pro in training: the two modes of the authors' AdamW.

``efficient`` gives the optimiser the adjusted gradients of A and B (see ``gradients.py``) in the
place of their own.

``full`` keeps AdamW's moments for the equivalent gradient E = s B g̃_A + s g̃_B A of each weight,
[O, I], as an AdamW on the weight itself would. What comes out of them,

    Ĝ = m̂ / (√v̂ + ε),

is no gradient that two low-rank factors could step along. It is adjusted as a full gradient is:
g_A = s B' Ĝ and g_B = s Ĝ A' are what LoRA's factors would have of it, and A and B step along
their g̃_A and g̃_B, without another AdamW in between. So nothing but the damping bounds the step of
A while B is tiny, as in a warm-up: here it has an absolute size, as the authors' has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from sweeper_adapters.methods.lora_pro.gradients import adjust_gradients, equivalent_parts
from sweeper_adapters.training import ParameterGroup, Parameters, Training

if TYPE_CHECKING:
    from peft import PeftModel

__all__ = ["FullTraining", "LoraProTraining"]

# torch.optim.AdamW's defaults, and the authors'.
_BETA1, _BETA2, _EPS = 0.9, 0.999, 1e-8


class LoraProTraining(Training):
    """Training of a LoRA with adjusted gradients; the norm is clipped before they are adjusted.

    An adjusted gradient grows with the inverse of its factor, and is thousands of times the plain
    one as long as B is small: a clip of these would say nothing of the loss.
    """

    takes_clipped_gradients = True

    def __init__(self, model: PeftModel, *, damping: float) -> None:
        super().__init__(model)
        self._damping = damping
        by_shape: dict[tuple[torch.Size, torch.Size], list[_Pair]] = {}
        for name, layer in model.named_modules():
            if not isinstance(layer, LoraLayer):
                continue
            for adapter in layer.active_adapters:
                if adapter in layer.lora_A:
                    pair = _Pair(f"{name}.{adapter}", layer, adapter)
                    by_shape.setdefault((pair.a.shape, pair.b.shape), []).append(pair)
        self._pairs = list(by_shape.values())

    def before_step(self, parameters: Parameters) -> None:
        """Replaces the gradients of A and B; layers of one shape are done together."""
        for pairs in self._pairs:
            stacks = _Stacks(pairs, parameters)
            adjusted = adjust_gradients(
                stacks.a,
                stacks.b,
                stacks.grad_a,
                stacks.grad_b,
                scaling=stacks.scaling,
                damping=self._damping,
            )
            for side, gradients in zip(_list_sides(pairs), adjusted, strict=True):
                for parameter, gradient in zip(side, gradients, strict=True):
                    parameters.set_gradient(parameter, gradient)


class FullTraining(LoraProTraining):
    """Training with the moments of the equivalent gradients; the optimiser itself moves nothing.

    Every worker keeps all moments, two float32 numbers for each weight of a target. Weight decay
    acts on the update: A and B are each multiplied by √(1 − η λ), their product by 1 − η λ.
    """

    def __init__(self, model: PeftModel, *, damping: float) -> None:
        super().__init__(model, damping=damping)
        self._count = 0
        self._moments: dict[str, _Moments] = {}
        self._steps: list[tuple[nn.Parameter, Tensor, float]] = []

    def _own_groups(self) -> list[ParameterGroup]:
        """Returns A and B without weight decay: with gradients of zero AdamW leaves them alone."""
        [group] = super()._own_groups()
        return [ParameterGroup(group.parameters, weight_decay=0.0)]

    def state_elements(self) -> int:
        """Returns two numbers for each weight of a target."""
        return sum(2 * p.a.shape[1] * p.b.shape[0] for pairs in self._pairs for p in pairs)

    def before_step(self, parameters: Parameters) -> None:
        """Notes how far A and B step, and takes their gradients from the optimiser."""
        self._count += 1
        for pairs in self._pairs:
            stacks = _Stacks(pairs, parameters)
            steps = adjust_gradients(
                stacks.a,
                stacks.b,
                *self._smoothed(pairs, stacks),
                scaling=stacks.scaling,
                damping=self._damping,
                is_absolute=True,
            )
            factors = (1.0, self.b_learning_rate_factor)
            for side, along, factor in zip(_list_sides(pairs), steps, factors, strict=True):
                for parameter, step in zip(side, along, strict=True):
                    self._steps.append((parameter, step, factor))
                    parameters.set_gradient(parameter, torch.zeros_like(step))

    def _smoothed(self, pairs: list[_Pair], stacks: _Stacks) -> tuple[Tensor, Tensor]:
        """Returns what A and B, [N, R, I] and [N, O, R], have of AdamW's Ĝ of the equivalent."""
        parts = equivalent_parts(
            stacks.a,
            stacks.b,
            stacks.grad_a,
            stacks.grad_b,
            scaling=stacks.scaling,
            damping=self._damping,
            is_absolute=True,
        )
        found_a, found_b = [], []
        # One after another: what is of the weight's size is the largest there is.
        for pair, a, b, first, second in zip(pairs, stacks.a, stacks.b, *parts, strict=True):
            equivalent = pair.scaling * (b @ first + second @ a)
            moments = self._moments.get(pair.name) or _Moments.zero(equivalent)
            self._moments[pair.name] = moments = moments.on(equivalent.device)
            smoothed = moments.take(equivalent, step=self._count)
            found_a.append(pair.scaling * (b.mT @ smoothed))
            found_b.append(pair.scaling * (smoothed @ a.mT))
        return torch.stack(found_a), torch.stack(found_b)

    def after_step(
        self, parameters: Parameters, *, learning_rate: float, weight_decay: float
    ) -> None:
        """Moves A and B."""
        decay = math.sqrt(max(0.0, 1 - learning_rate * weight_decay))
        for parameter, step, factor in self._steps:
            value = parameters.value(parameter)
            parameters.set_value(parameter, decay * value - factor * learning_rate * step)
        self._steps.clear()

    def state(self) -> Mapping[str, Tensor]:
        """Returns the number of steps and all moments."""
        found = {"count": torch.tensor(self._count)}
        for name, moments in self._moments.items():
            found |= {f"first {name}": moments.first, f"second {name}": moments.second}
        return found

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Sets what :meth:`state` returned."""
        self._count = int(state["count"])
        names = [key.removeprefix("first ") for key in state if key.startswith("first ")]
        self._moments = {
            name: _Moments(state[f"first {name}"].clone(), state[f"second {name}"].clone())
            for name in names
        }


@dataclass
class _Moments:
    """AdamW's moments of one weight, [O, I] each."""

    first: Tensor
    second: Tensor

    @classmethod
    def zero(cls, gradient: Tensor) -> _Moments:
        return cls(torch.zeros_like(gradient), torch.zeros_like(gradient))

    def on(self, device: torch.device) -> _Moments:
        """Returns them on a device; a checkpoint may have been read on another."""
        return _Moments(self.first.to(device), self.second.to(device))

    def take(self, gradient: Tensor, *, step: int) -> Tensor:
        """Returns m̂ / (√v̂ + ε) after this gradient, which is of the step-th step, from 1."""
        self.first.lerp_(gradient, 1 - _BETA1)
        self.second.mul_(_BETA2).addcmul_(gradient, gradient, value=1 - _BETA2)
        size = self.second.sqrt().div_(math.sqrt(1 - _BETA2**step)).add_(_EPS)
        return (self.first / (1 - _BETA1**step)).div_(size)


class _Pair:
    """A and B of one layer, and their scale."""

    def __init__(self, name: str, layer: LoraLayer, adapter_name: str) -> None:
        a, b = layer.lora_A[adapter_name].weight, layer.lora_B[adapter_name].weight
        assert isinstance(a, nn.Parameter)
        assert isinstance(b, nn.Parameter)
        self.name = name
        self.a, self.b = a, b
        self.scaling: float = layer.scaling[adapter_name]


class _Stacks:
    """Values and gradients of layers of one shape: [N, R, I] and [N, O, R]; s is [N, 1, 1]."""

    def __init__(self, pairs: list[_Pair], parameters: Parameters) -> None:
        self.a, self.b = _stack(pairs, parameters.value)
        self.grad_a, self.grad_b = _stack(pairs, parameters.gradient)
        self.scaling = self.a.new_tensor([pair.scaling for pair in pairs])[:, None, None]


def _stack(pairs: list[_Pair], read: Callable[[nn.Parameter], Tensor]) -> Iterator[Tensor]:
    return (torch.stack([read(parameter) for parameter in side]) for side in _list_sides(pairs))


def _list_sides(pairs: list[_Pair]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    return [pair.a for pair in pairs], [pair.b for pair in pairs]
