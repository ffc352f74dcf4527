"""MoSA."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from sweeper_adapters.methods._base import FIVE_TARGETS, Linear, MethodSpec, ModelShape

if TYPE_CHECKING:
    from peft import PeftConfig

__all__ = ["MosaSpec"]


class MosaSpec(MethodSpec):
    """MoSA: each weight gets the value of its group, ``y = (W0 + lambda[groups]) x``."""

    source: ClassVar[str] = "MoSA, Eq. 2 and appendix B.8"

    name: Literal["mosa"] = "mosa"
    """Tag of this method."""
    targets: tuple[str, ...] = Field(default=FIVE_TARGETS, min_length=1)
    """Linear layers that get an adapter, by the last part of their module name."""
    rank: int | None = Field(default=32, ge=1)
    """LoRA rank with the same number of parameters, ``K = rank * (in + out)``; not with groups."""
    groups: int | None = Field(default=None, ge=1)
    """Trained values of each weight matrix: K in the paper. Give this or rank."""
    grouping: Literal["brt", "row", "col", "skewed"] = "brt"
    """How weights are put in groups (appendix B.8); ``brt`` is the balanced random tessellation."""
    skew: float = Field(default=0.85, gt=0, lt=1)
    """With ``skewed``: the ratio of one group's size to the one before."""
    tessellation_seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of the tessellation; the adapter file holds it instead of the groups."""

    @model_validator(mode="before")
    @classmethod
    def _groups_replace_the_default_rank(cls, data: object) -> object:
        if isinstance(data, dict) and data.get("groups") is not None and "rank" not in data:
            return {**data, "rank": None}
        return data

    @model_validator(mode="after")
    def _one_size(self) -> MosaSpec:
        if (self.rank is None) == (self.groups is None):
            raise ValueError(
                f"mosa has rank {self.rank} and groups {self.groups}; "
                "exactly one of the two sets its size; leave the other out"
            )
        return self

    def size(self, linear: Linear) -> int:
        """Returns K, the number of trained values, of one layer."""
        if self.rank is None:
            assert self.groups is not None
            return self.groups
        return self.rank * (linear.in_features + linear.out_features)

    def count(self, shape: ModelShape) -> int:
        """Returns K summed over all adapted layers."""
        return shape.layers * sum(self.size(x) for x in self.adapted(shape))

    def peft_config(self) -> PeftConfig:
        """Returns our ``MosaConfig``."""
        from sweeper_adapters import MosaConfig

        return MosaConfig(
            r=self.rank,
            num_groups=self.groups,
            grouping=self.grouping,
            skew=self.skew,
            tessellation_seed=self.tessellation_seed,
            target_modules=list(self.targets),
            task_type="CAUSAL_LM",
        )

    def _size_problems(self, shape: ModelShape) -> Iterator[tuple[str, str]]:
        field = "groups" if self.rank is None else "rank"
        for linear in self.adapted(shape):
            groups = self.size(linear)
            if groups > linear.weights:
                highest = linear.weights
                if self.rank is not None:
                    highest //= linear.in_features + linear.out_features
                yield (
                    field,
                    f"{field} makes {groups} groups but {linear.name} has {linear.weights} "
                    f"weights; {field} may be 1 to {highest}; give less or leave "
                    f"{linear.name} out of targets",
                )
