"""MoRA."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from sweeper_adapters.methods._base import MethodSpec
from sweeper_adapters.methods._facts import ModelShape
from sweeper_adapters.methods._named_tuner import Tuner
from sweeper_adapters.methods.mora.size import compute_matrix_size

if TYPE_CHECKING:
    from peft import PeftConfig

__all__ = ["MoraSpec"]


class MoraSpec(MethodSpec):
    """MoRA: a trained square matrix between fixed maps, ``y = W0 x + decompress(M compress(x))``.

    Its rank is far above that of a LoRA with as many parameters. As in the authors' code the update
    is not scaled, so that there is no alpha. It departs from that code in nothing but speed: type 6
    skips the chunks of the input whose results would be cut away.
    """

    source: ClassVar[str] = "MoRA, arXiv:2405.12130, Eq. 6 (type 1) and Eq. 9 (type 6)"
    tuner: ClassVar[Tuner | None] = Tuner("MORA", folder="mora", stem="Mora")
    start_depends_on_seed: ClassVar[bool] = False

    name: Literal["mora"] = "mora"
    """Tag of this method."""
    rank: int = Field(default=8, ge=1)
    """LoRA rank with the same number of parameters, up to rounding."""
    type: Literal[1, 6] = 6
    """How the matrix is shared among chunks of the input: 1 adds them up (for large ranks), 6 turns
    each as RoPE does (for small ranks). The numbers are those of the authors' code."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the adapter's inputs set to zero in training."""

    def count(self, shape: ModelShape) -> int:
        """Returns the weights of all square matrices."""
        sizes = (self.size(x.in_features, x.out_features) for x in self.adapted(shape))
        return shape.layers * sum(size * size for size in sizes)

    def size(self, in_features: int, out_features: int) -> int:
        """Returns the rows and columns of the matrix of one layer."""
        return compute_matrix_size(in_features, out_features, rank=self.rank, mora_type=self.type)

    def peft_config(self) -> PeftConfig:
        """Returns our ``MoraConfig``."""
        from sweeper_adapters.methods.mora.tuner import MoraConfig

        return MoraConfig(
            r=self.rank,
            mora_type=self.type,
            dropout=self.dropout,
            target_modules=list(self.targets),
            task_type="CAUSAL_LM",
        )

    def _size_problems(self, shape: ModelShape) -> Iterator[tuple[str, str]]:
        for linear in self.adapted(shape):
            size = self.size(linear.in_features, linear.out_features)
            limit = linear.highest_rank
            if size <= limit:
                continue
            # The square root at which the size is above the limit.
            above = limit + 0.5 if self.type == 1 else limit - limit % 2 + 1.5
            highest = math.ceil(above**2 / (linear.in_features + linear.out_features)) - 1
            yield (
                "rank",
                f"rank {self.rank} makes a matrix of {size} x {size} but {linear.name} is "
                f"{linear.in_features} -> {linear.out_features} and can use {limit} x {limit}; "
                f"its rank is at most {highest}; give less or leave {linear.name} out of targets",
            )
