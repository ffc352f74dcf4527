"""MASA."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from sweeper_adapters.methods._facts import ModelShape
from sweeper_adapters.methods._low_rank import LowRankSpec
from sweeper_adapters.methods._named_tuner import Tuner

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel

    from sweeper_adapters.training import Training

__all__ = ["MasaSpec"]


class MasaSpec(LowRankSpec):
    """MASA: several down-projections shared by adjacent layers, one up-projection per layer.

    Eq. 4 of the paper: ``y = W0 x + alpha / rank * B (A_1 + ... + A_N) x``.
    """

    source: ClassVar[str] = "MASA, Eq. 4"
    tuner: ClassVar[Tuner | None] = Tuner("MASA", folder="masa", stem="Masa")

    name: Literal["masa"] = "masa"
    """Tag of this method."""
    experts: int = Field(default=5, ge=1, le=256)
    """Down-projections A in a group: N in the paper."""
    group_size: int = Field(default=2, ge=1)
    """Adjacent layers that share: S in the paper. The last group may be shorter."""
    sharing: Literal["a", "b", "both", "none"] = "a"
    """Which side is shared inside a group (Table 5); ``none`` is the paper's MAE (Table 3)."""
    router: Literal["none", "softmax"] = "none"
    """How experts are combined: ``none`` sums them (Eq. 4), ``softmax`` weighs them token by token.
    The parameter counts printed in the paper contain the router."""
    up_projections: int = Field(default=1, ge=1, le=256)
    """Up-projections B of one layer: M in the paper (Table 4)."""
    collapse: bool = True
    """Train the sum of the experts in their place, at LoRA's cost, and save all of them: the same
    numbers up to rounding. A router's experts differ and are always trained one by one."""

    @property
    def is_mergeable(self) -> bool:
        """Whether the experts are summed: a router's weights depend on the input."""
        return self.router == "none"

    @property
    def exports_lora(self) -> bool:
        """Whether the experts are summed: then ΔW = s (Σ B) (Σ A)."""
        return self.router == "none"

    @property
    def idle_fields(self) -> frozenset[str]:
        """The size of groups, where nothing is shared in them."""
        return frozenset({"group_size"} if self.sharing == "none" else ())

    def count(self, shape: ModelShape) -> int:
        """Returns the parameters of all A, B and routers, shared ones counted once."""
        groups = ceil(shape.layers / self.group_size)
        a_copies = groups if self.sharing in {"a", "both"} else shape.layers
        b_copies = groups if self.sharing in {"b", "both"} else shape.layers
        gates = self.experts * self.up_projections if self.router == "softmax" else 0
        adapted = self.adapted(shape)
        inputs = sum(x.in_features for x in adapted)
        outputs = sum(x.out_features for x in adapted)
        return (
            a_copies * self.experts * self.rank * inputs
            + b_copies * self.up_projections * self.rank * outputs
            + shape.layers * gates * inputs
        )

    def peft_config(self) -> PeftConfig:
        """Returns our ``MasaConfig``."""
        from sweeper_adapters.methods.masa.tuner import MasaConfig

        return MasaConfig(
            r=self.rank,
            alpha=self.alpha,
            scaling=self.scaling,
            num_experts=self.experts,
            group_size=self.group_size,
            sharing=self.sharing,
            router=self.router,
            num_up_projections=self.up_projections,
            dropout=self.dropout,
            target_modules=list(self.targets),
            task_type="CAUSAL_LM",
        )

    def _hooks(self, model: PeftModel, *, steps: int) -> Training:
        """Returns collapsed training where the experts are summed."""
        if not self.collapse or self.router != "none":
            return super()._hooks(model, steps=steps)
        from sweeper_adapters.methods.masa.training import CollapsedTraining

        return CollapsedTraining(model)

    def _size_problems(self, shape: ModelShape) -> Iterator[tuple[str, str]]:
        yield from super()._size_problems(shape)
        if self.sharing != "none" and self.group_size > shape.layers:
            yield (
                "group_size",
                f"group_size is {self.group_size} but the model has {shape.layers} layers; "
                f"allowed is 1 to {shape.layers}; give fewer layers to a group",
            )
