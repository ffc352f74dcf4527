"""HydraLoRA: MASA's tuner with one down-projection and several up-projections."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from sweeper_adapters.methods._facts import ModelShape
from sweeper_adapters.methods._low_rank import ExpertsSpec
from sweeper_adapters.methods._named_tuner import Tuner
from sweeper_adapters.methods.masa.spec import MasaSpec

if TYPE_CHECKING:
    from peft import PeftConfig

__all__ = ["HydraLoraSpec"]


class HydraLoraSpec(ExpertsSpec):
    """HydraLoRA: one A, and several B that a router weighs token by token.

    ``y = W0 x + alpha / rank * Σ_i p_i(x) B_i A dropout(x)`` with ``p = softmax(W_g x)``. That is
    MASA with one A, shared by none, several B and the softmax router, so that tuner runs it. As in
    the authors' code the router is a bias-free layer of each module, on inputs without dropout. The
    number of B, which the paper takes from clustering the data, is given.

    Departing from that code, one dropout mask is drawn for all B; there one for each, which is
    ``expert_dropout: each``.
    """

    source: ClassVar[str] = "HydraLoRA, arXiv:2404.19245"
    tuner: ClassVar[Tuner | None] = MasaSpec.tuner

    name: Literal["hydralora"] = "hydralora"
    """Tag of this method."""
    experts: int = Field(default=3, ge=1, le=256)
    """Up-projections B of each layer."""

    @property
    def is_mergeable(self) -> bool:
        """False: the weights of the B depend on the input."""
        return False

    def count(self, shape: ModelShape) -> int:
        """Returns the parameters of all A, B and routers."""
        return self._masa().count(shape)

    def peft_config(self) -> PeftConfig:
        """Returns our ``MasaConfig``, with the masks that it says."""
        config = self._masa().peft_config()
        config.expert_dropout = self.expert_dropout  # type: ignore[attr-defined]
        return config

    def _masa(self) -> MasaSpec:
        return MasaSpec(
            targets=self.targets,
            rank=self.rank,
            alpha=self.alpha,
            scaling=self.scaling,
            experts=1,
            group_size=1,
            sharing="none",
            router="softmax",
            up_projections=self.experts,
            dropout=self.dropout,
        )
