"""What methods have that add products of low-rank matrices."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from sweeper_adapters.methods._base import MethodSpec
from sweeper_adapters.methods._facts import ModelShape

if TYPE_CHECKING:
    from peft import PeftModel

    from sweeper_adapters.training import Training

__all__ = ["ExpertsSpec", "LowRankSpec"]


class LowRankSpec(MethodSpec):
    """What methods have that add products of low-rank matrices, as LoRA does.

    A field that other versions do not have is left out of what is written where it changes nothing:
    the trials of those versions keep their identities.
    """

    scale_field: ClassVar[str | None] = "alpha"

    rank: int = Field(default=8, ge=1)
    """Rows of each A and columns of each B."""
    alpha: float = Field(default=16, gt=0)
    """Scale of the update, divided by the rank, or by what ``scaling`` says."""
    scaling: Literal["rank", "sqrt_rank"] = Field(
        default="rank", exclude_if=lambda scaling: scaling == "rank"
    )
    """What alpha is divided by: ``rank`` by the rank, ``sqrt_rank`` by its square root. The latter
    is rsLoRA (Kalajdzievski 2023, arXiv:2312.03732)."""
    b_learning_rate_factor: float = Field(
        default=1.0, gt=0, le=10_000, exclude_if=lambda factor: factor == 1
    )
    """Learning rate of the matrices B, as a multiple of the trial's. Above 1 it is LoRA+ (Hayou et
    al. 2024, arXiv:2402.12354), whose authors take 16."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the adapter's inputs set to zero in training; a router sees all of them."""

    def update_scale(self) -> float:
        """Returns alpha divided by the rank, or by its root where ``scaling`` says so."""
        return self.alpha / (math.sqrt(self.rank) if self.scaling == "sqrt_rank" else self.rank)

    def training(self, model: PeftModel, *, steps: int) -> Training:
        """Returns what training does for this method besides forward and backward passes.

        Args:
            model: what :meth:`inject` returned, on its device, not yet in an engine.
            steps: optimiser steps of the whole training.
        """
        training = super().training(model, steps=steps)
        training.b_learning_rate_factor = self.b_learning_rate_factor
        return training

    def _size_problems(self, shape: ModelShape) -> Iterator[tuple[str, str]]:
        yield from self._rank_problems(shape, rank=self.rank)


class ExpertsSpec(LowRankSpec):
    """What methods have whose experts a router weighs."""

    expert_dropout: Literal["shared", "each"] = Field(
        default="shared", exclude_if=lambda masks: masks == "shared"
    )
    """Dropout masks of a layer in one pass: one for all experts (``shared``), or one for ``each``,
    as the authors draw them; that costs a product with the inputs for each expert, and their
    memory."""
