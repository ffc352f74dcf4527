"""What a spec has to know of a model and of an engine to count and to check itself."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["EngineFacts", "Linear", "ModelShape"]


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

    def is_named(self, target: str) -> bool:
        """Whether PEFT's target name ``target`` selects this layer (equal, or a dotted suffix)."""
        return f".{self.path or self.name}".endswith(f".{target}")


@dataclass(frozen=True)
class ModelShape:
    """What counting needs to know about a decoder model whose layers are all alike."""

    layers: int
    linears: tuple[Linear, ...]
    """The linear layers of one decoder layer."""
    total_parameters: int
    """Parameters of the base model."""

    @property
    def hidden_size(self) -> int:
        """Width of the residual stream: what the first linear of a layer takes in."""
        return self.linears[0].in_features


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
