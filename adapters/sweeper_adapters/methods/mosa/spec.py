"""MoSA."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from sweeper_adapters.methods._base import FIVE_TARGETS, MethodSpec
from sweeper_adapters.methods._facts import Linear, ModelShape
from sweeper_adapters.methods._named_tuner import Tuner

if TYPE_CHECKING:
    from peft import PeftConfig

__all__ = ["MosaSpec"]


class MosaSpec(MethodSpec):
    """MoSA: each weight gets the value of its group, ``y = (W0 + lambda[groups]) x``."""

    source: ClassVar[str] = "MoSA, Eq. 2 and appendix B.8"
    tuner: ClassVar[Tuner | None] = Tuner("MOSA", folder="mosa", stem="Mosa")
    start_depends_on_seed: ClassVar[bool] = False
    size_fields: ClassVar[tuple[str, ...]] = ("groups",)

    name: Literal["mosa"] = "mosa"
    """Tag of this method."""
    targets: tuple[str, ...] = Field(default=FIVE_TARGETS, min_length=1)
    """Linear layers that get an adapter, by the last part of their module name, or by groups:
    ``attention``, ``mlp``, ``all-linear``. A trial has the names that a group stands for."""
    rank: int | None = Field(default=32, ge=1)
    """LoRA rank with the same number of parameters, ``K = rank * (in + out)``; not with groups."""
    groups: int | dict[str, int] | None = None
    """Trained values of each weight matrix: K in the paper; one number for all, or one for each
    target by its name. Give this or rank."""
    grouping: Literal["brt", "row", "col", "skewed"] = "brt"
    """How weights are put in groups (appendix B.8); ``brt`` is the balanced random tessellation."""
    skew: float = Field(default=0.85, gt=0, lt=1)
    """With ``skewed``: the ratio of one group's size to the one before."""
    tessellation_seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of the tessellation; the adapter file holds it instead of the groups."""
    index: Literal["computed", "stored"] = "computed"
    """Which group a weight is in is ``computed`` by the kernels as they go, or ``stored`` as in the
    paper: 4 bytes for each weight, once for all layers of one shape. The results are the same."""

    @model_validator(mode="before")
    @classmethod
    def _groups_replace_the_default_rank(cls, data: object) -> object:
        if isinstance(data, dict) and data.get("groups") is not None and "rank" not in data:
            return {**data, "rank": None}
        return data

    @field_validator("groups", mode="before")
    @classmethod
    def _groups_are_numbers(cls, groups: object) -> object:
        values = groups.values() if isinstance(groups, dict) else [groups]
        is_whole = all(isinstance(x, int) and not isinstance(x, bool) and x >= 1 for x in values)
        if groups is not None and not (values and is_whole):
            raise ValueError(
                f"groups is {groups!r}; allowed are whole numbers greater than or equal to 1, one "
                "for all targets or {target: number, …}; correct them"
            )
        return groups

    @model_validator(mode="after")
    def _one_size(self) -> MosaSpec:
        if (self.rank is None) == (self.groups is None):
            raise ValueError(
                f"mosa has rank {self.rank} and groups {self.groups}; "
                "exactly one of the two sets its size; leave the other out"
            )
        return self

    def size(self, linear: Linear) -> int:
        """Returns K, the number of trained values, of one layer; 0 where groups do not name it."""
        if isinstance(self.groups, dict):
            return next((k for name, k in self.groups.items() if linear.is_named(name)), 0)
        if self.groups is not None:
            return self.groups
        assert self.rank is not None
        return self.rank * (linear.in_features + linear.out_features)

    def sizes(self) -> Mapping[str, object]:
        """Returns ``rank`` or ``groups``, whichever sets the size."""
        return {"groups": self.groups} if self.rank is None else {"rank": self.rank}

    def resized(self, shape: ModelShape, parameters: int) -> Self:
        """Returns the method in the size nearest to a number of parameters.

        It is a rank where one has just this number, and else K for each target, in proportion to
        ``in + out``: then it is met exactly if it is a multiple of the layers, and one of the
        targets is alone in its shape. Layers of one shape always have one K, and so one Γ.

        Args:
            shape: of the model.
            parameters: trainable parameters wished for.
        """
        by_rank = super().resized(shape, parameters)
        adapted = self.adapted(shape)
        if by_rank.count(shape) == parameters or not adapted:
            return by_rank
        # Halves are rounded down: of two sizes equally near it is the smaller one.
        groups = _share_out((2 * parameters + shape.layers - 1) // (2 * shape.layers), adapted)
        return by_rank.model_copy(update={"rank": None, "groups": groups})

    def count(self, shape: ModelShape) -> int:
        """Returns K summed over all adapted layers."""
        return shape.layers * sum(self.size(x) for x in self.adapted(shape))

    def peft_config(self) -> PeftConfig:
        """Returns our ``MosaConfig``."""
        from sweeper_adapters.methods.mosa.tuner import MosaConfig

        return MosaConfig(
            r=self.rank,
            num_groups=self.groups,
            grouping=self.grouping,
            skew=self.skew,
            tessellation_seed=self.tessellation_seed,
            index=self.index,
            target_modules=list(self.targets),
            task_type="CAUSAL_LM",
        )

    def _size_problems(self, shape: ModelShape) -> Iterator[tuple[str, str]]:
        field = "groups" if self.rank is None else "rank"
        yield from self._name_problems(shape)
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

    def _name_problems(self, shape: ModelShape) -> Iterator[tuple[str, str]]:
        """Yields a problem for each target without groups, and for groups without a target."""
        if not isinstance(self.groups, dict):
            return
        adapted = self.adapted(shape)
        names = [x.name for x in adapted]
        for linear in adapted:
            if not self.size(linear):
                yield (
                    "groups",
                    f"groups name {', '.join(self.groups)} but not {linear.name}, which is a "
                    f"target; each of {', '.join(names)} needs a number; give it one",
                )
        for name in self.groups:
            if not any(linear.is_named(name) for linear in adapted):
                yield (
                    "groups",
                    f"groups name {name!r}, which is no target; targets are {', '.join(names)}; "
                    "leave it out or correct it",
                )


def _share_out(values: int, linears: list[Linear]) -> dict[str, int]:
    """Returns K of each layer so that they add up to ``values``, in proportion to ``in + out``."""
    by_shape: dict[tuple[int, int], list[Linear]] = {}
    for linear in linears:
        by_shape.setdefault((linear.in_features, linear.out_features), []).append(linear)
    shares = dict.fromkeys(by_shape, 0)
    # Those that can take the least come first: what they cannot take, the others do.
    order = sorted(by_shape, key=lambda x: (x[0] * x[1] / (x[0] + x[1]), x))
    left, widths = values, sum(sum(key) * len(by_shape[key]) for key in order)
    for key in order:
        share = left * sum(key) // widths
        shares[key] = max(1, min(share, key[0] * key[1]))
        left -= shares[key] * len(by_shape[key])
        widths -= sum(key) * len(by_shape[key])
    for key in sorted(order, key=lambda x: len(by_shape[x])):
        more = min(max(0, left) // len(by_shape[key]), key[0] * key[1] - shares[key])
        shares[key] += more
        left -= more * len(by_shape[key])
    return {x.name: shares[x.in_features, x.out_features] for x in linears}
