"""What a spec has to know of a model and of an engine to count and to check itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["GROUPS", "EngineFacts", "Linear", "ModelShape"]

GROUPS = ("all-linear", "attention", "mlp")
"""Names that stand for several linear layers of a decoder layer."""

# What the modules around them are called, or begin with.
_ATTENTION = ("attn", "attention")
_MLP = ("mlp", "feed_forward", "ffn", "fc1", "fc2", "block_sparse_moe", "experts", "shared_expert")


@dataclass(frozen=True)
class Linear:
    """One linear layer inside a decoder layer."""

    name: str
    """Last part of its module name, ``q_proj``; more parts where that is not unique."""
    in_features: int
    out_features: int
    path: str = field(default="", compare=False)
    """Its module name inside of the decoder layer, ``self_attn.q_proj``; its name if empty."""

    @property
    def weights(self) -> int:
        """Weights in its matrix, the bias not counted."""
        return self.in_features * self.out_features

    @property
    def highest_rank(self) -> int:
        """The rank that its matrix can have."""
        return min(self.in_features, self.out_features)

    def is_named(self, target: str) -> bool:
        """Whether PEFT's target name ``target`` selects this layer (equal, or a dotted suffix)."""
        return f".{self.path or self.name}".endswith(f".{target}")

    def is_in(self, group: str) -> bool:
        """Whether it is of one of :data:`GROUPS`, by the names of itself and of what it is in."""
        if group == "all-linear":
            return True
        parts = (self.path or self.name).split(".")
        is_attention = any(word in part for part in parts for word in _ATTENTION)
        if group == "attention":
            return is_attention
        return not is_attention and any(part.startswith(_MLP) for part in parts)


@dataclass(frozen=True)
class ModelShape:
    """What counting needs to know about a decoder model whose layers are all alike."""

    layers: int
    linears: tuple[Linear, ...]
    """The linear layers of one decoder layer."""
    total_parameters: int
    """Parameters of the base model."""
    vocabulary: int = 0
    """Rows of its token embedding; 0 where they are not known."""
    stack: str = "model.layers"
    """Module name of the list of its layers; empty where they are in several lists."""

    @property
    def hidden_size(self) -> int:
        """Width of the residual stream: what the first linear of a layer takes in."""
        return self.linears[0].in_features

    def expand(self, targets: Sequence[str]) -> tuple[str, ...]:
        """Returns targets with the names of linear layers in the place of groups of them.

        A group that the model has no layer of stays as it is; a layer is named once.

        Args:
            targets: names of layers, or of :data:`GROUPS`.
        """
        found: list[str] = []
        for target in targets:
            is_layer = any(linear.is_named(target) for linear in self.linears)
            group = [x.name for x in self.linears if target in GROUPS and x.is_in(target)]
            found += group if group and not is_layer else [target]
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True)
class EngineFacts:
    """What a method may have to know about how it will be trained."""

    zero_stage: int
    """ZeRO stage, 0 to 3."""
    workers: int
    """Data-parallel workers."""
    precision: str
    """``fp32``, ``bf16`` or ``fp16``: the dtype of the frozen base."""
    has_gpu: bool
    """Whether the workers train on GPUs."""
    batch_size: int
    """Sequences in one micro-batch of one worker."""
    steps: int | None = None
    """Optimiser steps of the whole training; None where they are not known."""
