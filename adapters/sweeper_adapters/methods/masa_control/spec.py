"""The control arm of MASA."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field

from sweeper_adapters.methods._base import AnyMethodSpec
from sweeper_adapters.methods._facts import ModelShape
from sweeper_adapters.methods._low_rank import LowRankSpec
from sweeper_adapters.methods._named_tuner import Tuner
from sweeper_adapters.methods.masa.spec import MasaSpec

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel

    from sweeper_adapters.training import Training

__all__ = ["MasaControlSpec"]


class MasaControlSpec(LowRankSpec):
    """The control arm of MASA: plain LoRA, shared alike, with a larger step on A.

    Under sum aggregation all A_i get the same gradient (the paper's Eq. 8), so their sum moves like
    one matrix with N times the learning rate and 1/N of the weight decay. This is that matrix: LoRA
    whose A has those, and N-fold initial values. A gain of MASA over LoRA that this arm shows, too,
    is one of a larger step on A, not of several A.
    """

    source: ClassVar[str] = "follows from MASA, Eq. 8"
    tuner: ClassVar[Tuner | None] = MasaSpec.tuner

    name: Literal["masa_control"] = "masa_control"
    """Tag of this method."""
    experts: int = Field(default=5, ge=1, le=256)
    """N of the MASA that it is compared with: factor of A's learning rate and initial values."""
    group_size: int = Field(default=2, ge=1)
    """Adjacent layers that share, as in MASA."""
    sharing: Literal["a", "b", "both", "none"] = "a"
    """Which side is shared inside a group, as in MASA."""

    @classmethod
    def control_of(cls, method: AnyMethodSpec) -> Self | None:
        """Returns the arm that MASA is compared with: of its rank, shared alike, with its N."""
        if not isinstance(method, MasaSpec):
            return None
        return cls(
            targets=method.targets,
            rank=method.rank,
            alpha=method.alpha,
            dropout=method.dropout,
            experts=method.experts,
            group_size=method.group_size,
            sharing=method.sharing,
        )

    @property
    def exports_lora(self) -> bool:
        """True: it is one."""
        return True

    @property
    def idle_fields(self) -> frozenset[str]:
        """The size of groups, where nothing is shared in them."""
        return self._masa().idle_fields

    def count(self, shape: ModelShape) -> int:
        """Returns the parameters of all A and B, shared ones counted once."""
        return self._masa().count(shape)

    def peft_config(self) -> PeftConfig:
        """Returns our ``MasaConfig`` with one A of N-fold initial values."""
        config = self._masa().peft_config()
        config.initial_scale = float(self.experts)  # type: ignore[attr-defined]
        return config

    def _hooks(
        self,
        model: PeftModel,
        *,
        steps: int,  # noqa: ARG002 - the base class's signature
    ) -> Training:
        """Returns training with N times the learning rate on A."""
        from sweeper_adapters.methods.masa_control.training import ControlTraining

        return ControlTraining(model, experts=self.experts)

    def _masa(self) -> MasaSpec:
        return MasaSpec(
            targets=self.targets,
            rank=self.rank,
            alpha=self.alpha,
            scaling=self.scaling,
            experts=1,
            group_size=self.group_size,
            sharing=self.sharing,
            dropout=self.dropout,
        )

    def _size_problems(self, shape: ModelShape) -> Iterator[tuple[str, str]]:
        return self._masa()._size_problems(shape)
