"""BSLoRA: a small LoRA of its own for each layer, one for each decoder layer, and one for all.

    y = W0 x + s (B A x + T_1(B_1) T_1(A_1) x + T_2(B_2) T_2(A_2) x),  s = 2

The first pair of matrices is the layer's own (local), the second is shared by all adapted layers of
a decoder layer (intra), the third by all of the model (inter). As these layers have several sizes,
a transformation T fits a shared pair to each of them:

- ``slice``: the pair has the size of the largest layer, and a layer uses the middle of it;
- ``gate``: the layer's own vectors reduce the input to one number and spread it over the pair's
  size, and the same at the output: T(B) T(A) x = g_4 g_3 B A g_2 g_1 x;
- ``kron``: the pair has a small size, and is repeated with the layer's own weights k: T(A) is
  k_A ⊗ A and T(B) is k_B ⊗ B.

All of it is linear, so that the update is a LoRA whose rank is the sum of the three. A gated pair
is one of rank 1, whatever its own rank is: it sees one number of the input.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from peft import PeftType
from torch import Tensor, nn

from sweeper_adapters._tuner import (
    AdapterConfig,
    AdapterLinear,
    AdapterModel,
    build_number_error,
    register_tuner,
)
from sweeper_adapters._tuner.sharing import find_layer_group
from sweeper_adapters.methods.bslora.pairs import Gate, Kron, Pair, Slice, Transform

__all__ = ["BsloraConfig", "BsloraLinear", "BsloraModel"]

_RANKS = ("local_rank", "intra_rank", "inter_rank")
_SHARED = ("intra", "inter")
_TRANSFORMS = ("slice", "gate", "kron")


@dataclass
class BsloraConfig(AdapterConfig):
    """Config of a BSLoRA adapter."""

    local_rank: int = 2
    """Rank of each layer's own pair; 0 for none."""
    intra_rank: int = 4
    """Rank of the pair that the layers of one decoder layer share; 0 for none. A layer's decoder
    layer is its module name up to the first number; one without a number shares with none."""
    inter_rank: int = 8
    """Rank of the pair that all layers share; 0 for none."""
    transform: Literal["slice", "gate", "kron"] = "slice"
    """How a shared pair is fitted to layers of several sizes."""
    share_size: int = 1024
    """With ``gate``: in- and out-features of the shared pairs."""
    block: int = 256
    """With ``kron``: in- and out-features of the shared pairs; divides those of every layer."""
    scale: float = 2.0
    """Scale of the update."""
    dropout: float = 0.0
    """Share of the adapter's inputs set to zero in training."""

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            ValueError: when a value is out of its range.
        """
        super().__post_init__()
        self.peft_type = PeftType("BSLORA")
        for name in _RANKS:
            if getattr(self, name) < 0:
                raise build_number_error("bslora", name, getattr(self, name), allowed="0 or more")
        if not any(getattr(self, name) for name in _RANKS):
            raise ValueError(
                f"bslora: {', '.join(_RANKS)} are all 0; at least one is 1 or more; raise one"
            )
        for name in ("share_size", "block"):
            if getattr(self, name) < 1:
                raise build_number_error("bslora", name, getattr(self, name), allowed="1 or more")
        if not self.scale > 0:
            raise build_number_error("bslora", "scale", self.scale, allowed="above 0")
        if not 0 <= self.dropout < 1:
            raise build_number_error("bslora", "dropout", self.dropout, allowed="0 to below 1")
        if self.transform not in _TRANSFORMS:
            raise ValueError(
                f"bslora: transform is {self.transform!r}; allowed is one of "
                f"{', '.join(_TRANSFORMS)}; change transform"
            )


class BsloraLinear(AdapterLinear):
    """A linear layer with BSLoRA adapters; :class:`BsloraModel` makes layers share."""

    adapter_layer_names = (
        "bslora_local",
        "bslora_intra",
        "bslora_inter",
        "bslora_local_transform",
        "bslora_intra_transform",
        "bslora_inter_transform",
    )
    other_param_names = ("bslora_dropout",)

    def __init__(self, base_layer: nn.Module) -> None:
        super().__init__(base_layer)
        self.bslora_dropout = nn.ModuleDict()
        for name in self.adapter_layer_names:
            self.add_module(name, nn.ModuleDict())

    def update_layer(self, adapter_name: str, config: AdapterConfig) -> None:
        """Adds an adapter to this layer, not shared yet."""
        assert isinstance(config, BsloraConfig)
        self.bslora_dropout[adapter_name] = nn.Dropout(config.dropout)
        own = (self.in_features, self.out_features)
        for scope in ("local", *_SHARED):
            rank = getattr(config, f"{scope}_rank")
            if rank == 0:
                continue
            transform: Transform = Slice(*own)
            size = own
            if scope in _SHARED and config.transform == "gate":
                transform = Gate(*own, config.share_size)
                size = (config.share_size, config.share_size)
            elif scope in _SHARED and config.transform == "kron":
                transform = Kron(*own, config.block)
                size = (config.block, config.block)
            pair = Pair(rank, *size, scale=config.scale)
            pair.start(config.init_weights)
            getattr(self, f"bslora_{scope}")[adapter_name] = pair
            getattr(self, f"bslora_{scope}_transform")[adapter_name] = transform
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def holds(self, adapter_name: str) -> bool:
        """Whether this layer has an adapter of this name."""
        return adapter_name in self.bslora_dropout

    def update(self, adapter_name: str, x: Tensor) -> Tensor:
        """Returns s Σ T(B) T(A) x, [..., O], in the dtype of the adapter."""
        parts = list(self._parts(adapter_name))
        x = self.bslora_dropout[adapter_name](self._cast_input_dtype(x, parts[0][0].a.dtype))
        pair, transform = parts[0]
        result: Tensor = transform(x, pair)
        for pair, transform in parts[1:]:
            result = result + transform(x, pair)
        return result

    def delta(self, adapter_name: str) -> Tensor:
        """Returns s Σ T(B) T(A), [O, I], in the dtype of the adapter."""
        a, b = self.lora_factors(adapter_name)
        return (b @ a).to(next(self._parts(adapter_name))[0].a.dtype)

    def lora_factors(self, adapter_name: str) -> tuple[Tensor, Tensor]:
        """Returns all T(A) below each other, [R, I], and all s T(B) side by side, [O, R].

        R is the sum of the ranks, that of a gated pair being 1.
        """
        factors = [transform.factors(pair) for pair, transform in self._parts(adapter_name)]
        return torch.cat([a for a, _ in factors]), torch.cat([b for _, b in factors], dim=1)

    def down_projections(self, adapter_name: str) -> dict[str, Tensor]:
        """Returns T(A) of each pair that the layer uses, each [R, I]: local, intra, inter."""
        scopes = [x for x in ("local", *_SHARED) if adapter_name in getattr(self, f"bslora_{x}")]
        factors = [transform.factors(pair)[0] for pair, transform in self._parts(adapter_name)]
        return {f"A {scope}": a for scope, a in zip(scopes, factors, strict=True)}

    def supports_lora_conversion(
        self,
        adapter_name: str = "default",  # noqa: ARG002 - true for all
    ) -> bool:
        """Whether the update is one low-rank matrix: it always is."""
        return True

    def _parts(self, adapter_name: str) -> Iterator[tuple[Pair, Transform]]:
        """Yields the pairs that this layer uses, each with what fits it to the layer."""
        for scope in ("local", *_SHARED):
            pairs = getattr(self, f"bslora_{scope}")
            if adapter_name in pairs:
                transforms = getattr(self, f"bslora_{scope}_transform")
                yield pairs[adapter_name], transforms[adapter_name]


class BsloraModel(AdapterModel):
    """A model with BSLoRA adapters."""

    prefix = "bslora_"
    tuner_layer_cls = BsloraLinear

    def inject_adapter(
        self, model: nn.Module, adapter_name: str, *args: Any, **kwargs: Any
    ) -> None:
        """Adds an adapter to all targets, and makes layers share pairs that are large enough.

        Only when all layers are known is it known how large a pair must be of which each layer uses
        the middle.
        """
        super().inject_adapter(model, adapter_name, *args, **kwargs)
        config = self.peft_config[adapter_name]
        assert isinstance(config, BsloraConfig)
        if config.transform != "slice":
            return
        for layer in model.modules():
            if isinstance(layer, BsloraLinear) and layer.holds(adapter_name):
                for pair, _ in layer._parts(adapter_name):
                    pair.grow(
                        layer.in_features, layer.out_features, init_weights=config.init_weights
                    )

    def _sharing(
        self,
        name: str,
        layer: AdapterLinear,  # noqa: ARG002 - what is shared fits every layer
        config: AdapterConfig,
    ) -> Mapping[str, Hashable]:
        assert isinstance(config, BsloraConfig)
        kind, number = find_layer_group(name, 1)
        keys = {"intra": (kind.partition("*")[0], number), "inter": ()}
        return {
            f"bslora_{scope}": key
            for scope, key in keys.items()
            if getattr(config, f"{scope}_rank")
        }


register_tuner(BsloraConfig, BsloraModel)
