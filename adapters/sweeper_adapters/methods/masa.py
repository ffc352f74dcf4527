"""MASA and its control arm."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from sweeper_adapters.methods._base import LowRankSpec, ModelShape

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel

    from sweeper_adapters.training import Training

__all__ = ["MasaControlSpec", "MasaSpec"]


class MasaSpec(LowRankSpec):
    """MASA: several down-projections shared by adjacent layers, one up-projection per layer.

    Eq. 4 of the paper: ``y = W0 x + alpha / rank * B (A_1 + ... + A_N) x``.
    """

    source: ClassVar[str] = "MASA, Eq. 4"

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
        from sweeper_adapters import MasaConfig

        return MasaConfig(
            r=self.rank,
            alpha=self.alpha,
            num_experts=self.experts,
            group_size=self.group_size,
            sharing=self.sharing,
            router=self.router,
            num_up_projections=self.up_projections,
            dropout=self.dropout,
            target_modules=list(self.targets),
            task_type="CAUSAL_LM",
        )

    def training(self, model: PeftModel, *, steps: int) -> Training:
        """Returns collapsed training where the experts are summed."""
        if not self.collapse or self.router != "none":
            return super().training(model, steps=steps)
        from sweeper_adapters.masa_training import CollapsedTraining

        return CollapsedTraining(model)

    def _size_problems(self, shape: ModelShape) -> Iterator[tuple[str, str]]:
        yield from super()._size_problems(shape)
        if self.sharing != "none" and self.group_size > shape.layers:
            yield (
                "group_size",
                f"group_size is {self.group_size} but the model has {shape.layers} layers; "
                f"allowed is 1 to {shape.layers}; give fewer layers to a group",
            )


class MasaControlSpec(LowRankSpec):
    """The control arm of MASA: plain LoRA, shared alike, with a larger step on A.

    Under sum aggregation all A_i get the same gradient (the paper's Eq. 8), so their sum moves like
    one matrix with N times the learning rate and 1/N of the weight decay. This is that matrix: LoRA
    whose A has those, and N-fold initial values. A gain of MASA over LoRA that this arm shows, too,
    is one of a larger step on A, not of several A.
    """

    source: ClassVar[str] = "follows from MASA, Eq. 8"

    name: Literal["masa_control"] = "masa_control"
    """Tag of this method."""
    experts: int = Field(default=5, ge=1, le=256)
    """N of the MASA that it is compared with: factor of A's learning rate and initial values."""
    group_size: int = Field(default=2, ge=1)
    """Adjacent layers that share, as in MASA."""
    sharing: Literal["a", "b", "both", "none"] = "a"
    """Which side is shared inside a group, as in MASA."""

    @property
    def exports_lora(self) -> bool:
        """True: it is one."""
        return True

    def count(self, shape: ModelShape) -> int:
        """Returns the parameters of all A and B, shared ones counted once."""
        return self._masa().count(shape)

    def peft_config(self) -> PeftConfig:
        """Returns our ``MasaConfig`` with one A of N-fold initial values."""
        config = self._masa().peft_config()
        config.initial_scale = float(self.experts)  # type: ignore[attr-defined]
        return config

    def training(
        self,
        model: PeftModel,
        *,
        steps: int,  # noqa: ARG002 - the base class's signature
    ) -> Training:
        """Returns training with N times the learning rate on A."""
        from sweeper_adapters.masa_training import ControlTraining

        return ControlTraining(model, experts=self.experts)

    def _masa(self) -> MasaSpec:
        return MasaSpec(
            targets=self.targets,
            rank=self.rank,
            alpha=self.alpha,
            experts=1,
            group_size=self.group_size,
            sharing=self.sharing,
            dropout=self.dropout,
        )

    def _size_problems(self, shape: ModelShape) -> Iterator[tuple[str, str]]:
        return self._masa()._size_problems(shape)
