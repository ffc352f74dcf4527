"""All methods as specs: what a method is called, how large it is, and what PEFT makes of it.

The tagged union :data:`Method` is the registry: a new method is one spec and one line here. Nothing
in this module imports torch or PEFT until an adapter is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from math import ceil
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel

__all__ = [
    "Linear",
    "LoraSpec",
    "MasaSpec",
    "Method",
    "MethodSpec",
    "ModelShape",
    "MosaSpec",
]

SEVEN_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
FIVE_TARGETS = ("q_proj", "k_proj", "v_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Linear:
    """One linear layer inside a decoder layer."""

    name: str
    """Last part of its module name, ``q_proj``; more parts where that is not unique."""
    in_features: int
    out_features: int

    @property
    def weights(self) -> int:
        """Weights in its matrix, the bias not counted."""
        return self.in_features * self.out_features

    def is_named(self, target: str) -> bool:
        """Whether PEFT's target name ``target`` selects this layer (equal, or a dotted suffix)."""
        return self.name == target or self.name.endswith(f".{target}")


@dataclass(frozen=True)
class ModelShape:
    """What counting needs to know about a decoder model whose layers are all alike."""

    layers: int
    linears: tuple[Linear, ...]
    """The linear layers of one decoder layer."""
    total_parameters: int
    """Parameters of the base model."""


class MethodSpec(BaseModel):
    """What every method has: the layers it adapts, and what it makes of a model."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )

    targets: tuple[str, ...] = Field(default=SEVEN_TARGETS, min_length=1)
    """Linear layers that get an adapter, by the last part of their module name."""

    def problems(self, shape: ModelShape) -> list[tuple[str, str]]:
        """Returns (field, message) for all that keeps this method from being used on ``shape``."""
        return [*self._target_problems(shape), *self._size_problems(shape)]

    def count(self, shape: ModelShape) -> int:
        """Returns the number of trainable parameters on a model of this shape, by formula."""
        raise NotImplementedError

    def peft_config(self) -> PeftConfig:
        """Returns the PEFT config of this method."""
        raise NotImplementedError

    def inject(self, model: PreTrainedModel, *, seed: int) -> PeftModel:
        """Returns ``model`` with the adapter in it; only the adapter's parameters require grad.

        Seeds torch's global generator, so that the initial values depend on ``seed`` alone.
        The adapter's parameters are float32 also on a 16-bit base, as PEFT does by default.
        """
        import torch
        from peft import get_peft_model

        torch.manual_seed(seed)
        return get_peft_model(model, self.peft_config())

    def adapted(self, shape: ModelShape) -> list[Linear]:
        """Returns the linear layers of one decoder layer that get an adapter."""
        return [
            linear
            for linear in shape.linears
            if any(linear.is_named(target) for target in self.targets)
        ]

    def _target_problems(self, shape: ModelShape) -> Iterator[tuple[str, str]]:
        known = [linear.name for linear in shape.linears]
        for target in self.targets:
            if any(linear.is_named(target) for linear in shape.linears):
                continue
            near = get_close_matches(target, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "take names from this list"
            yield (
                "targets",
                f"target {target!r} matches no linear layer of the model; "
                f"it has {', '.join(known)}; {hint}",
            )

    def _size_problems(self, shape: ModelShape) -> Iterator[tuple[str, str]]:
        raise NotImplementedError

    def _rank_problems(self, shape: ModelShape, *, rank: int) -> Iterator[tuple[str, str]]:
        smallest = min(
            self.adapted(shape), key=lambda x: min(x.in_features, x.out_features), default=None
        )
        if smallest is None:
            return
        limit = min(smallest.in_features, smallest.out_features)
        if rank > limit:
            yield (
                "rank",
                f"rank is {rank} but {smallest.name} is {smallest.in_features} -> "
                f"{smallest.out_features}; its rank is at most {limit}; "
                f"give a rank of 1 to {limit} or leave {smallest.name} out of targets",
            )


class LoraSpec(MethodSpec):
    """LoRA (arXiv:2106.09685), PEFT's: ``y = W0 x + alpha / rank * B A x``."""

    name: Literal["lora"] = "lora"
    """Tag of this method."""
    rank: int = Field(default=8, ge=1)
    """Rows of A and columns of B."""
    alpha: float = Field(default=16, gt=0)
    """Scale of the update, divided by the rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the adapter's inputs set to zero in training."""

    def count(self, shape: ModelShape) -> int:
        """Returns ``layers * rank * (in + out)`` summed over the targets."""
        return shape.layers * sum(
            self.rank * (x.in_features + x.out_features) for x in self.adapted(shape)
        )

    def peft_config(self) -> PeftConfig:
        """Returns PEFT's own ``LoraConfig``."""
        from peft import LoraConfig

        return LoraConfig(
            r=self.rank,
            # PEFT divides alpha by r, so a fraction is right though it declares an int.
            lora_alpha=self.alpha,  # type: ignore[arg-type]
            lora_dropout=self.dropout,
            target_modules=list(self.targets),
            task_type="CAUSAL_LM",
        )

    def _size_problems(self, shape: ModelShape) -> Iterator[tuple[str, str]]:
        yield from self._rank_problems(shape, rank=self.rank)


class MasaSpec(MethodSpec):
    """MASA: several down-projections shared by adjacent layers, one up-projection per layer.

    Eq. 4 of the paper: ``y = W0 x + alpha / rank * B (A_1 + ... + A_N) x``.
    """

    name: Literal["masa"] = "masa"
    """Tag of this method."""
    rank: int = Field(default=8, ge=1)
    """Rows of each A and columns of each B."""
    alpha: float = Field(default=16, gt=0)
    """Scale of the update, divided by the rank."""
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
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the adapter's inputs set to zero in training."""

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

    def _size_problems(self, shape: ModelShape) -> Iterator[tuple[str, str]]:
        yield from self._rank_problems(shape, rank=self.rank)
        if self.sharing != "none" and self.group_size > shape.layers:
            yield (
                "group_size",
                f"group_size is {self.group_size} but the model has {shape.layers} layers; "
                f"allowed is 1 to {shape.layers}; give fewer layers to a group",
            )


class MosaSpec(MethodSpec):
    """MoSA: each weight gets the value of its group, ``y = (W0 + lambda[groups]) x``."""

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


Method = Annotated[LoraSpec | MasaSpec | MosaSpec, Field(discriminator="name")]
"""Any method, told apart by ``name``."""
