"""LoRA-GA."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from sweeper_adapters.methods._facts import Linear, ModelShape
from sweeper_adapters.methods._named_tuner import Tuner
from sweeper_adapters.methods._patterned import PatternedSpec

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel

    from sweeper_adapters.training import Training

__all__ = ["LoraGaSpec"]


class LoraGaSpec(PatternedSpec):
    """LoRA-GA, the original: LoRA that begins along the gradient of the frozen weights.

    ``y = W0 x + alpha / rank * (B A - B_0 A_0) x``. Before the first step the gradient of each
    adapted weight is taken over some batches of the training data; A begins as its first ``rank``
    right singular vectors, B as its left ones from ``rank`` + 1 to 2 ``rank``, both with the factor
    ``d_out^(1/4) / sqrt(gamma)``. That takes memory on the CPU for the adapted weights in float32,
    in each worker. The base is not changed: the file holds A and B and the values that they began
    with, and weighs twice as much.

    The scale is alpha / rank; the paper's, alpha / sqrt(rank), is ``scaling: sqrt_rank``.
    PEFT's LoRA-GA is another: it puts the singular values into B. ``LoraGaConfig`` in a training
    loop that does not call the method's ``Training`` takes no gradients: it is a plain LoRA.
    """

    source: ClassVar[str] = "Wang et al. 2024, LoRA-GA, arXiv:2407.05000, Algorithm 1"
    tuner: ClassVar[Tuner | None] = Tuner("LORAGA", folder="lora_ga", stem="LoraGa")

    name: Literal["lora_ga"] = "lora_ga"
    """Tag of this method."""
    gamma: float = Field(default=16, gt=0)
    """The square of what divides the initial values: larger is a smaller start."""
    calibration_batches: int = Field(default=8, ge=1, le=4096)
    """Batches that the gradients are taken over, each of the size of a worker's training batch, the
    same on all workers."""

    @property
    def exports_lora(self) -> bool:
        """True: of twice the rank."""
        return True

    def count(self, shape: ModelShape) -> int:
        """Returns ``layers * rank * (in + out)`` summed over the targets."""
        return self._count_factors(shape)

    def peft_config(self) -> PeftConfig:
        """Returns our ``LoraGaConfig``."""
        from sweeper_adapters.methods.lora_ga.tuner import LoraGaConfig

        return LoraGaConfig(
            r=self.rank,
            rank_pattern=dict(self.rank_pattern),
            alpha_pattern=dict(self.alpha_pattern),
            alpha=self.alpha,
            scaling=self.scaling,
            dropout=self.dropout,
            target_modules=list(self.targets),
            task_type="CAUSAL_LM",
        )

    def _hooks(
        self,
        model: PeftModel,
        *,
        steps: int,  # noqa: ARG002 - the base class's signature
    ) -> Training:
        """Returns training that takes the gradients before it starts."""
        from sweeper_adapters.methods.lora_ga.training import LoraGaTraining

        return LoraGaTraining(model, gamma=self.gamma, batches=self.calibration_batches)

    def _limit_problems(
        self, linears: Sequence[Linear], *, rank: int, field: str
    ) -> Iterator[tuple[str, str]]:
        smallest = min(linears, key=lambda x: x.highest_rank, default=None)
        if smallest is None:
            return
        limit = smallest.highest_rank // 2
        if rank > limit:
            yield (
                field,
                f"{field} is {rank} but the gradient of {smallest.name}, "
                f"{smallest.in_features} -> {smallest.out_features}, has singular vectors for a "
                f"rank of at most {limit}; give a {field} of 1 to {limit} or leave {smallest.name} "
                "out of targets",
            )
