"""LoRA that begins elsewhere than at zero, on a frozen weight that stays as it is.

Methods that start from a decomposition of something begin with a product s B_0 A_0, and subtract it
from W0, so that the model begins as it was. W0 serves other trials here and is never changed: A_0
and B_0 are kept, as buffers that are saved with the adapter, and the subtraction is done in the
forward pass. With several A_i and B_j, and pairs (i, j) that work together,

    y = W0 x + s Σ_(i,j) (B_j A_i − B_0 A_0) x
      = W0 x + s Σ_i [Σ_j (B_j − B_0)] A_i x + s B_0 [Σ_(i,j) (A_i − A_0)] x,

where the second form begins with exact zeros in any dtype, and never takes the difference of two
large products. It is a LoRA, of a rank that is r more than that of the pairs. Dropout acts on what
is trained only: what stands for a changed W0 sees the inputs whole.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sweeper_adapters._tuner.config import LowRankConfig
from sweeper_adapters._tuner.layer import AdapterLinear, number_downs
from sweeper_adapters.training import Training

__all__ = ["OriginLinear", "OriginTraining"]


class _Projections(nn.Module):
    """Matrices of one kind, [N, P, Q], and the one, [P, Q], that all of them began with."""

    origin: Tensor | None

    def __init__(self, count: int, rows: int, columns: int, *, keeps_origin: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(count, rows, columns))
        self.register_buffer("origin", torch.zeros(rows, columns) if keeps_origin else None)

    @torch.no_grad()
    def begin_at(self, value: Tensor) -> None:
        """Makes all of them, and what they began with, a value, [P, Q]."""
        self.weight.copy_(value)
        # The weight may have been rounded to its dtype; what it begins with is the rounded value.
        self.origin = self.weight[0].detach().clone()

    @torch.no_grad()
    def add_noise(self) -> None:
        """Adds to each of them what nn.Linear begins with."""
        for matrix in self.weight:
            matrix += nn.init.kaiming_uniform_(torch.empty_like(matrix), a=math.sqrt(5))

    def _split(self, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
        """Returns the matrices, [N, P, Q], and their origin, [P, Q]."""
        origin = None if self.origin is None else self.origin.to(dtype)
        return self.weight.to(dtype), origin

    def _load_from_state_dict(self, *args: Any) -> None:
        # On a 16-bit base PEFT has parameters in float32 but buffers in 16 bit.
        if self.origin is not None:
            self.origin = self.origin.to(self.weight.dtype)
        super()._load_from_state_dict(*args)


class _Downs(_Projections):
    """The matrices A_i, [N, R, I]."""

    def __init__(
        self, count: int, rank: int, in_features: int, *, dropout: float, keeps_origin: bool
    ) -> None:
        super().__init__(count, rank, in_features, keeps_origin=keeps_origin)
        self.dropout = nn.Dropout(dropout)

    def matrix(self, pairs: Tensor) -> Tensor:
        """Returns the A_i, and Σ_(i,j) (A_i − A_0) if there is an origin, [K * R, I].

        Args:
            pairs: 1 where A_i works together with B_j, [N, M]; [1, M] where all A_i do alike, which
                then are summed.
        """
        weight, origin = self._split(pairs.dtype)
        groups = pairs.shape[0]
        whole = weight.sum(0, keepdim=True) if groups == 1 else weight
        if origin is None:
            return whole.flatten(0, 1)
        moved = weight - origin
        moved = moved.sum(0, keepdim=True) if groups == 1 else moved
        moved = torch.tensordot(pairs.sum(1), moved, dims=1)
        return torch.cat([whole.flatten(0, 1), moved])

    def forward(self, x: Tensor, pairs: Tensor) -> Tensor:
        """Returns what :meth:`matrix` makes of activations, [..., I]: [..., K * R]."""
        dropped = self.dropout(x)
        features = F.linear(dropped, self.matrix(pairs))
        _, origin = self._split(pairs.dtype)
        if origin is None or not self.training or self.dropout.p == 0:
            return features
        # A_0 has no dropout, so it sees more than the A_i do.
        count = pairs.sum() * (self.weight.shape[0] // pairs.shape[0])
        missed = F.linear(x - dropped, origin) * count
        return features - F.pad(missed, (features.shape[-1] - missed.shape[-1], 0))


class _Ups(_Projections):
    """The matrices B_j, [M, O, R]."""

    def matrix(self, pairs: Tensor) -> Tensor:
        """Returns Σ_j (B_j − B_0) for each A_i, and B_0 if there is an origin, [O, K * R].

        Args:
            pairs: as for the A_i, [N, M] or [1, M].
        """
        weight, origin = self._split(pairs.dtype)
        moved = weight if origin is None else weight - origin
        mixed = torch.tensordot(pairs, moved, dims=1).transpose(0, 1).flatten(1)
        return mixed if origin is None else torch.cat([mixed, origin], dim=1)

    def forward(self, features: Tensor, pairs: Tensor) -> Tensor:
        """Returns what :meth:`matrix` makes of features, [..., K * R]: [..., O]."""
        return F.linear(features, self.matrix(pairs))


class OriginLinear(AdapterLinear):
    """A linear layer with adapters that begin elsewhere than at zero.

    A subclass names two containers in ``adapter_layer_names``, of the A and of the B.
    """

    other_param_names: tuple[str, ...] = ("scaling",)

    def __init__(self, base_layer: nn.Module) -> None:
        super().__init__(base_layer)
        # In a model that is in evaluation already nothing is to be dropped or drawn.
        self.training = base_layer.training
        self.scaling: dict[str, float] = {}
        for container in self.adapter_layer_names:
            setattr(self, container, nn.ModuleDict())

    @abstractmethod
    def _pairs(self, adapter_name: str, *, is_training: bool) -> tuple[Tensor, float]:
        """Returns which A_i works together with which B_j, and the scale of the update.

        The former is 1 where they do, [N, M], or [1, M] where all A_i do alike; on the device of
        the adapter, in any dtype.
        """

    def _add(
        self, adapter_name: str, config: LowRankConfig, counts: tuple[int, int], *, keeps: bool
    ) -> None:
        """Adds A, each random, and B and the origins, all zero.

        Args:
            adapter_name: of the adapter.
            config: of the adapter.
            counts: how many A and B.
            keeps: whether they may begin elsewhere, and keep where.
        """
        self.scaling[adapter_name] = config.scale
        downs = _Downs(
            counts[0], config.r, self.in_features, dropout=config.dropout, keeps_origin=keeps
        )
        downs.add_noise()
        ups = _Ups(counts[1], self.out_features, config.r, keeps_origin=keeps)
        for container, module in zip(self.adapter_layer_names, (downs, ups), strict=True):
            getattr(self, container)[adapter_name] = module.train(self.training)

    def _finish(self, adapter_name: str, config: LowRankConfig) -> None:
        """Ends the adding of an adapter, when its initial values are there."""
        if not config.init_weights:
            self._projections(adapter_name)[1].add_noise()
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def holds(self, adapter_name: str) -> bool:
        """Whether this layer has an adapter of this name."""
        return adapter_name in getattr(self, self.adapter_layer_names[0])

    def begin_at(self, adapter_name: str, down: Tensor, up: Tensor) -> None:
        """Makes A_0, [R, I], and B_0, [O, R], the initial values of all A and all B."""
        downs, ups = self._projections(adapter_name)
        downs.begin_at(down)
        ups.begin_at(up)

    def origins(self, adapter_name: str) -> Iterator[tuple[str, Tensor]]:
        """Yields name and value of what is kept of the initial values."""
        names = self.adapter_layer_names
        for name, module in zip(names, self._projections(adapter_name), strict=True):
            if module.origin is not None:
                yield f"{name}.{adapter_name}.origin", module.origin

    def update(self, adapter_name: str, x: Tensor) -> Tensor:
        """Returns s Σ_(i,j) (B_j A_i − B_0 A_0) x, [..., O], in the dtype of the adapter."""
        downs, ups = self._projections(adapter_name)
        x = self._cast_input_dtype(x, ups.weight.dtype)
        pairs, scale = self._pairs(adapter_name, is_training=self.training)
        pairs = pairs.to(x.dtype)
        # Scaled where it is small.
        result: Tensor = ups(downs(x, pairs) * scale, pairs)
        return result

    def delta(self, adapter_name: str) -> Tensor:
        """Returns s Σ_(i,j) (B_j A_i − B_0 A_0), [O, I], as in evaluation."""
        down, up = self.lora_factors(adapter_name)
        return (up @ down).to(self._projections(adapter_name)[1].weight.dtype)

    def lora_factors(self, adapter_name: str) -> tuple[Tensor, Tensor]:
        """Returns A, [K * R, I], and B, [O, K * R], of the LoRA that it is in evaluation."""
        downs, ups = self._projections(adapter_name)
        pairs, scale = self._pairs(adapter_name, is_training=False)
        pairs = pairs.to(torch.promote_types(ups.weight.dtype, torch.float32))
        return downs.matrix(pairs), ups.matrix(pairs) * scale

    def down_projections(self, adapter_name: str) -> dict[str, Tensor]:
        """Returns the A_i, each [R, I]."""
        return number_downs(self._projections(adapter_name)[0].weight)

    def supports_lora_conversion(
        self,
        adapter_name: str = "default",  # noqa: ARG002 - PEFT's signature
    ) -> bool:
        """True: in evaluation the update is one low-rank matrix."""
        return True

    def _projections(self, adapter_name: str) -> tuple[_Downs, _Ups]:
        downs, ups = (getattr(self, x)[adapter_name] for x in self.adapter_layer_names)
        assert isinstance(downs, _Downs)
        assert isinstance(ups, _Ups)
        return downs, ups


class OriginTraining(Training):
    """Training of adapters that begin elsewhere: a checkpoint holds where.

    It could be computed again from the base, but hardly on other hardware to the same bits.
    """

    def state(self) -> Mapping[str, Tensor]:
        """Returns the initial values that are kept, by name."""
        return {name: value.detach() for name, value in self._origins()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Sets them."""
        for name, value in self._origins():
            value.copy_(state[name])

    def layers(self) -> Iterator[tuple[str, OriginLinear, str]]:
        """Yields name, layer and adapter for each active adapter."""
        for name, layer in self.model.named_modules():
            if isinstance(layer, OriginLinear):
                for adapter_name in layer.active_adapters:
                    if layer.holds(adapter_name):
                        yield name, layer, adapter_name

    def _origins(self) -> Iterator[tuple[str, Tensor]]:
        for name, layer, adapter_name in self.layers():
            for key, value in layer.origins(adapter_name):
                yield f"{name}.{key}", value
