"""AdaLoRA in training: the penalty on A and B, and the allocation of ranks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sweeper_adapters.training import Parameters, Training

if TYPE_CHECKING:
    from peft import PeftModel

__all__ = ["AdaloraTraining"]

# What PEFT's allocator remembers of each parameter; the first is overwritten at each step.
_SUMS = ("ipt", "exp_avg_ipt", "exp_avg_unc")


class AdaloraTraining(Training):
    """Adds the gradient of the penalty, and has PEFT's allocator set entries of E to zero.

    Both work on whole float32 copies, so they do the same however an engine keeps parameters.
    Steps are counted from 1, also those that fp16 could not apply.
    """

    def __init__(
        self, model: PeftModel, *, steps: int, warmup_steps: int, final_steps: int
    ) -> None:
        """Sets the schedule in PEFT's config, which knows no steps before.

        Args:
            model: with an AdaLoRA adapter.
            steps: optimiser steps of the whole training.
            warmup_steps: before ranks are reduced.
            final_steps: after ranks are reduced.

        Raises:
            ValueError: there are too few steps before the final ones.
        """
        super().__init__(model)
        self._last_allocation = steps - final_steps
        if self._last_allocation < 2:
            raise ValueError(
                f"adalora: {final_steps} of {steps} steps are final ones; at least 2 must come "
                "before, to learn what is important; train longer or lower final_share"
            )
        # PEFT's annotations do not know the attributes of a tuner's model.
        tuner: Any = model.base_model
        self._allocator = tuner.rankallocator
        self._config: Any = model.active_peft_config
        self._config.total_step = steps
        self._config.tinit, self._config.tfinal = warmup_steps, final_steps
        named = tuner.model.named_parameters()
        self._trained: dict[str, nn.Parameter] = {n: p for n, p in named if p.requires_grad}
        self._gradients: dict[str, Tensor] = {}
        self._step = 0
        # Entries of E that the last allocation left, and those that are not zero now: between two
        # allocations what was set to zero is trained again.
        self._allocated: dict[str, Tensor] = {}
        self._kept: dict[str, Tensor] = {}
        self._widths = {
            name: 1
            + self._trained[name.replace("lora_E", "lora_A")].shape[1]
            + self._trained[name.replace("lora_E", "lora_B")].shape[0]
            for name in self._trained
            if "lora_E" in name
        }

    def before_step(self, parameters: Parameters) -> None:
        """Adds the penalty's gradient to those of A and B, and notes all of them."""
        self._step += 1
        weight = self._config.orth_reg_weight / (2 * len(self._widths))
        for name, parameter in self._trained.items():
            gradient = parameters.gradient(parameter)
            if weight and name not in self._widths:
                value = parameters.value(parameter)
                rows = value if "lora_A" in name else value.T
                penalty = _compute_penalty_gradient(rows)
                gradient += weight * (penalty if "lora_A" in name else penalty.T)
                parameters.set_gradient(parameter, gradient)
            self._gradients[name] = gradient

    def after_step(
        self, parameters: Parameters, *, learning_rate: float, weight_decay: float
    ) -> None:
        """Sets the least important entries of E to zero, in the steps that do."""
        del learning_rate, weight_decay  # of no meaning here
        whole = _Whole()
        for name, parameter in self._trained.items():
            whole.add(name, parameters.value(parameter), self._gradients.pop(name))
        is_changed = self._allocate(whole)
        for name in self._widths:
            value = whole[name].detach()
            self._kept[name] = value.flatten() != 0
            if is_changed:
                parameters.set_value(self._trained[name], value)

    def _allocate(self, whole: _Whole) -> bool:
        """Does as PEFT's ``AdaLoraModel.update_and_allocate``; returns whether it changed E."""
        allocator = self._allocator
        if self._step < self._last_allocation:
            _, pattern = allocator.update_and_allocate(whole, self._step)
        elif allocator.ipt:
            _, pattern = allocator.update_and_allocate(whole, self._step, force_mask=True)
            allocator.reset_ipt()
        else:
            pattern = _convert_to_lists(self._allocated)
            allocator.mask_using_rank_pattern(whole, pattern)
        if pattern is None:
            return False
        self._allocated = {name: torch.tensor(kept) for name, kept in pattern.items()}
        return True

    def state(self) -> Mapping[str, Tensor]:
        """Returns the step, the sums that importance is made of, and the last allocation."""
        found = {"step": torch.tensor(self._step)}
        for kind in _SUMS:
            sums: dict[str, Tensor] = getattr(self._allocator, kind)
            found |= {f"{kind} {name}": value for name, value in sums.items()}
        found |= {f"allocated {name}": value for name, value in self._allocated.items()}
        found |= {f"kept {name}": value for name, value in self._kept.items()}
        return found

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Sets what :meth:`state` returned."""
        self._step = int(state["step"])
        for kind in _SUMS:
            setattr(self._allocator, kind, _select_kind(state, kind))
        self._allocated = _select_kind(state, "allocated")
        self._kept = _select_kind(state, "kept")

    def file_elements(self, injected: int) -> int:
        """Returns the elements of A, B and E that belong to entries of E that are not zero."""
        if not self._kept:
            return injected
        return sum(int(kept.sum()) * self._widths[name] for name, kept in self._pattern().items())

    @contextmanager
    def finished(self) -> Iterator[None]:
        """Has PEFT save what belongs to entries of E that are not zero, while it is open."""
        self._config.rank_pattern = _convert_to_lists(self._pattern()) or None
        try:
            yield
        finally:
            self._config.rank_pattern = None

    def _pattern(self) -> dict[str, Tensor]:
        """Returns which entries are saved: of each layer at least one, be it zero.

        PEFT takes an empty matrix for a damaged one.
        """
        pattern = {name: kept.clone() for name, kept in self._kept.items()}
        for kept in pattern.values():
            kept[0] |= not kept.any()
        return pattern


class _Whole:
    """A model as PEFT's allocator sees one: named parameters with gradients."""

    def __init__(self) -> None:
        self._parameters: dict[str, nn.Parameter] = {}

    def add(self, name: str, value: Tensor, gradient: Tensor) -> None:
        parameter = self._parameters[name] = nn.Parameter(value)
        parameter.grad = gradient

    def __getitem__(self, name: str) -> nn.Parameter:
        return self._parameters[name]

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        yield from self._parameters.items()


def _compute_penalty_gradient(rows: Tensor) -> Tensor:
    """Returns the gradient of ``|R R' - I|`` (Frobenius) by R, [R, I]."""
    with torch.enable_grad():
        rows = rows.detach().requires_grad_()
        identity = torch.eye(rows.shape[0], dtype=rows.dtype, device=rows.device)
        (gradient,) = torch.autograd.grad(torch.linalg.matrix_norm(rows @ rows.T - identity), rows)
    return gradient


def _convert_to_lists(pattern: Mapping[str, Tensor]) -> dict[str, list[bool]]:
    return {name: kept.tolist() for name, kept in pattern.items()}


def _select_kind(state: Mapping[str, Tensor], kind: str) -> dict[str, Tensor]:
    """Returns the entries of one kind, by the names of their parameters."""
    return {
        name.removeprefix(f"{kind} "): value
        for name, value in state.items()
        if name.startswith(f"{kind} ")
    }
