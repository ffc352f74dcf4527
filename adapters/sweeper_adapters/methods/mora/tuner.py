"""MoRA: one square matrix M, as large as LoRA's rank pays for, between two fixed maps.

    y = W0 x + decompress(M compress(x))

Both maps are without parameters. The input is repeated from its start up to whole chunks of M's
size R. Type 1 (Eq. 6 of the paper, for large ranks) adds the chunks up, and repeats what M makes of
their sum over the output. Type 6 (Eq. 9, for small ranks) turns each chunk by an angle that depends
on its position, as RoPE turns tokens, applies M to each, and lays the results side by side, cut or
repeated to the output's size. So type 6 reads no inputs past the chunks that fill the output: of
Llama-3's down_proj, 14336 -> 4096, with rank 32 the first 4608.

Where R divides I, type 1 is a MoSA: weight (o, i) belongs to the group (o mod R, i mod R).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from peft import PeftType
from torch import Tensor, nn

from sweeper_adapters._tuner import (
    AdapterConfig,
    AdapterLinear,
    AdapterModel,
    build_number_error,
    register_tuner,
)
from sweeper_adapters.methods.mora.size import compute_matrix_size

__all__ = ["MoraConfig", "MoraLinear", "MoraModel"]

_TYPES = (1, 6)
# The base of RoPE's angles, as in the authors' code.
_ROPE_THETA = 10_000.0


@dataclass
class MoraConfig(AdapterConfig):
    """Config of a MoRA adapter."""

    r: int = 8
    """LoRA rank with the same number of parameters, up to rounding."""
    mora_type: Literal[1, 6] = 6
    """1 shares M among chunks of the input by adding them up, 6 by turning each; the numbers are
    those of the authors' code."""
    dropout: float = 0.0
    """Share of the adapter's inputs set to zero in training."""

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            ValueError: when a value is out of its range.
        """
        super().__post_init__()
        self.peft_type = PeftType("MORA")
        if self.r < 1:
            raise build_number_error("mora", "r", self.r, allowed="1 or more")
        if self.mora_type not in _TYPES:
            raise build_number_error("mora", "mora_type", self.mora_type, allowed="1 or 6")
        if not 0 <= self.dropout < 1:
            raise build_number_error("mora", "dropout", self.dropout, allowed="0 to below 1")


def _cycle(x: Tensor, length: int) -> Tensor:
    """Returns the last dimension of x cut to ``length``, or repeated from its start up to it."""
    times, rest = divmod(length, x.shape[-1])
    if times == 0 or (times, rest) == (1, 0):
        return x[..., :length]
    return torch.cat([x] * times + [x[..., :rest]], dim=-1)


def _turn(chunks: Tensor, *, is_backwards: bool = False) -> Tensor:
    """Returns chunks, [..., chunk, R], each turned by RoPE's rotation of its position, or back."""
    count, size = chunks.shape[-2:]
    precise = torch.promote_types(chunks.dtype, torch.float32)
    exponents = torch.arange(0, size, 2, device=chunks.device, dtype=precise) / size
    positions = torch.arange(count, device=chunks.device, dtype=precise)
    angles = torch.outer(positions, _ROPE_THETA**-exponents).repeat(1, 2)
    cos, sin = angles.cos().to(chunks.dtype), angles.sin().to(chunks.dtype)
    first, second = chunks.chunk(2, dim=-1)
    quarter = (second, -first) if is_backwards else (-second, first)
    return chunks * cos + torch.cat(quarter, dim=-1) * sin


class _Square(nn.Module):
    """M, [R, R], and the way of sharing it among chunks."""

    def __init__(self, size: int, mora_type: int, dropout: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size, size))
        self.mora_type = mora_type
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, out_features: int) -> Tensor:
        """Returns the update, [..., O], of activations x, [..., I]."""
        size = self.weight.shape[0]
        count = self.chunks(x.shape[-1], out_features)
        chunks = _cycle(self.dropout(x), count * size).reshape(*x.shape[:-1], count, size)
        if self.mora_type == 1:
            result = F.linear(chunks.sum(-2), self.weight)
        else:
            result = F.linear(_turn(chunks), self.weight).flatten(-2)
        return _cycle(result, out_features)

    def delta(self, in_features: int, out_features: int) -> Tensor:
        """Returns ΔW, [O, I]: the same maps, applied to M."""
        weight = self.weight.to(torch.promote_types(self.weight.dtype, torch.float32))
        count = self.chunks(in_features, out_features)
        if self.mora_type == 1:
            padded = weight.repeat(1, count)
        else:
            # M times a rotation is the rows of M turned back.
            rows = weight.unsqueeze(1).expand(-1, count, -1)
            padded = torch.block_diag(*_turn(rows, is_backwards=True).unbind(1))  # type: ignore[no-untyped-call]
        # Inputs that the padding repeats count twice.
        columns = torch.arange(padded.shape[1], device=padded.device) % in_features
        folded = padded.new_zeros(padded.shape[0], in_features).index_add(1, columns, padded)
        return _cycle(folded.T, out_features).T.to(self.weight.dtype)

    def chunks(self, in_features: int, out_features: int) -> int:
        """Returns how many chunks of the input are read."""
        size = self.weight.shape[0]
        count = math.ceil(in_features / size)
        if self.mora_type == 1:
            return count
        # The results of more would be cut away.
        return min(count, math.ceil(out_features / size))

    def extra_repr(self) -> str:
        """Returns the size and type, for printing."""
        return f"{self.weight.shape[0]}, type {self.mora_type}"


class MoraLinear(AdapterLinear):
    """A linear layer with MoRA adapters."""

    adapter_layer_names = ("mora_square",)
    other_param_names = ()

    def __init__(self, base_layer: nn.Module) -> None:
        super().__init__(base_layer)
        self.mora_square = nn.ModuleDict()

    def update_layer(self, adapter_name: str, config: AdapterConfig) -> None:
        """Adds an adapter to this layer."""
        assert isinstance(config, MoraConfig)
        size = compute_matrix_size(
            self.in_features, self.out_features, rank=config.r, mora_type=config.mora_type
        )
        square = _Square(size, config.mora_type, config.dropout)
        if not config.init_weights:
            nn.init.kaiming_uniform_(square.weight, a=math.sqrt(5))
        self.mora_square[adapter_name] = square
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def holds(self, adapter_name: str) -> bool:
        """Whether this layer has an adapter of this name."""
        return adapter_name in self.mora_square

    def update(self, adapter_name: str, x: Tensor) -> Tensor:
        """Returns decompress(M compress(x)), [..., O], in the dtype of the adapter."""
        square = self._square(adapter_name)
        result: Tensor = square(self._cast_input_dtype(x, square.weight.dtype), self.out_features)
        return result

    def delta(self, adapter_name: str) -> Tensor:
        """Returns ΔW, [O, I], in the dtype of the adapter."""
        return self._square(adapter_name).delta(self.in_features, self.out_features)

    def supports_lora_conversion(
        self,
        adapter_name: str = "default",  # noqa: ARG002 - true for all
    ) -> bool:
        """Whether the update is a matrix: it always is."""
        return True

    def _square(self, adapter_name: str) -> _Square:
        square = self.mora_square[adapter_name]
        assert isinstance(square, _Square)
        return square


class MoraModel(AdapterModel):
    """A model with MoRA adapters."""

    prefix = "mora_"
    tuner_layer_cls = MoraLinear


register_tuner(MoraConfig, MoraModel)
