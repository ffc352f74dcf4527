"""MAE, the ablation of MASA without sharing."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from sweeper_adapters.methods._facts import ModelShape
from sweeper_adapters.methods._low_rank import LowRankSpec
from sweeper_adapters.methods._named_tuner import Tuner
from sweeper_adapters.methods.masa.spec import MasaSpec

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel

    from sweeper_adapters.training import Training

__all__ = ["MaeSpec"]


class MaeSpec(LowRankSpec):
    """MAE (multi-A ensemble): MASA in which each layer has down-projections of its own.

    ``y = W0 x + alpha / rank * B (A_1 + ... + A_N) x``: the ablation of what sharing brings.
    MASA's tuner runs it, with groups of one layer.
    """

    source: ClassVar[str] = "MASA, Table 3"
    tuner: ClassVar[Tuner | None] = MasaSpec.tuner

    name: Literal["mae"] = "mae"
    """Tag of this method."""
    experts: int = Field(default=5, ge=1, le=256)
    """Down-projections A of each layer: N in the paper."""
    router: Literal["none", "softmax"] = "none"
    """How experts are combined, as in MASA; the published count contains the router."""
    collapse: bool = True
    """Train the sum of the experts in their place, as in MASA."""

    @property
    def is_mergeable(self) -> bool:
        """Whether the experts are summed: a router's weights depend on the input."""
        return self._masa().is_mergeable

    @property
    def exports_lora(self) -> bool:
        """Whether the experts are summed: then ΔW = s B (Σ A)."""
        return self._masa().exports_lora

    def count(self, shape: ModelShape) -> int:
        """Returns the parameters of all A, B and routers."""
        return self._masa().count(shape)

    def peft_config(self) -> PeftConfig:
        """Returns our ``MasaConfig``."""
        return self._masa().peft_config()

    def _hooks(self, model: PeftModel, *, steps: int) -> Training:
        """Returns collapsed training where the experts are summed."""
        return self._masa()._hooks(model, steps=steps)

    def _masa(self) -> MasaSpec:
        return MasaSpec(
            targets=self.targets,
            rank=self.rank,
            alpha=self.alpha,
            scaling=self.scaling,
            experts=self.experts,
            group_size=1,
            sharing="none",
            router=self.router,
            dropout=self.dropout,
            collapse=self.collapse,
        )
