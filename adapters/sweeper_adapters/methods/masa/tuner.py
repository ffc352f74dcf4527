"""MASA: an ensemble of down-projections shared by adjacent layers, an up-projection for each layer.

Eq. 4 of the paper, with s = alpha / r, for the layer of index l in group k = ⌊l / S⌋:

    y = W0 x + s B_l (A_k1 + ... + A_kN) x

The sum of the A is formed once in a forward pass, so a layer costs what LoRA's costs. With
``router="softmax"`` the experts are weighed token by token: y = W0 x + s Σ_ij p_ij(x) B_j A_i x.
Both are one operation with the frozen product, where that may be made without its layer.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from peft import PeftType
from torch import Tensor, nn

from sweeper_adapters._tuner import (
    AdapterConfig,
    AdapterLinear,
    AdapterModel,
    LowRankConfig,
    build_number_error,
    number_downs,
    register_tuner,
)
from sweeper_adapters._tuner.sharing import find_layer_group
from sweeper_kernels import add_low_rank, masa_gate, masa_linear

__all__ = ["Experts", "MasaConfig", "MasaLinear", "MasaModel"]

_SHARED = {"a": ("masa_A",), "b": ("masa_B",), "both": ("masa_A", "masa_B"), "none": ()}
_CHOICES = {
    "sharing": tuple(_SHARED),
    "router": ("none", "softmax"),
    "expert_dropout": ("shared", "each"),
}


@dataclass
class MasaConfig(LowRankConfig):
    """Config of a MASA adapter."""

    num_experts: int = 5
    """Down-projections A in a group: N in the paper."""
    group_size: int = 2
    """Adjacent layers that share: S in the paper. Layer l is in group ⌊l / S⌋, where l is the first
    number in the layer's module name; layers without a number share with none."""
    sharing: Literal["a", "b", "both", "none"] = "a"
    """Which side is shared inside a group (Table 5); ``none`` is the paper's MAE (Table 3)."""
    router: Literal["none", "softmax"] = "none"
    """``none`` sums the experts (Eq. 4); ``softmax`` weighs the pairs (A_i, B_j) token by token, by
    a bias-free linear layer on the input. Routers are never shared, and cannot be merged."""
    num_up_projections: int = 1
    """Up-projections B of one layer: M in the paper (Table 4)."""
    expert_dropout: Literal["shared", "each"] = "shared"
    """With a router and one A, as in HydraLoRA: one dropout mask for all B, or one for each."""
    initial_scale: float = 1.0
    """Factor of the initial values of A; above 1 for MASA's control arm."""

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            ValueError: when a value is out of its range.
        """
        super().__post_init__()
        self.peft_type = PeftType("MASA")
        self._check("masa", "num_experts", "group_size", "num_up_projections")
        if not self.initial_scale > 0:
            raise build_number_error("masa", "initial_scale", self.initial_scale, allowed="above 0")
        for name, known in _CHOICES.items():
            self._check_choice("masa", name, known)
        if self.expert_dropout == "each" and (self.router == "none" or self.num_experts > 1):
            raise ValueError(
                f"masa: expert_dropout is 'each' with router {self.router!r} and num_experts "
                f"{self.num_experts}; it takes router 'softmax' and num_experts 1; change one"
            )


class Experts(nn.Module):
    """Matrices of one kind in one parameter, [N, P, Q], to be summed, or weighed by gates.

    Their initial values follow from ``initial_seed`` alone, and can be had again.
    """

    factor = 1.0
    """The sum of the matrices is this times :meth:`matrix`."""

    def __init__(self, count: int, rows: int, columns: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(count, rows, columns))
        self.initial_seed = int(torch.randint(2**62, (), device="cpu"))

    def initial(self) -> Tensor:
        """Returns the initial values, [N, P, Q], float32, on the CPU."""
        return torch.zeros(self.weight.shape)

    def matrix(self) -> Tensor:
        """Returns what a pass multiplies by where the matrices are summed, [P, Q]."""
        # The sum of one would be a copy.
        return self.weight.squeeze(0) if self.weight.shape[0] == 1 else self.weight.sum(0)

    def side_by_side(self) -> Tensor:
        """Returns what a pass multiplies by where the matrices are weighed."""
        return self.weight.flatten(0, 1)

    def forward(
        self, x: Tensor, base: Tensor | None = None, *, scale: float = 1.0, is_routed: bool = False
    ) -> Tensor:
        """Returns ``base + scale * matrix x``, [..., P]; of all matrices where it is routed.

        Args:
            x: [..., Q].
            base: what is added to, or None.
            scale: factor of the product.
            is_routed: whether the matrices stand side by side.
        """
        matrix = self.side_by_side() if is_routed else self.matrix()
        return add_low_rank(base, x, matrix, scale=scale)

    def total(self) -> Tensor:
        """Returns the sum of the matrices, [P, Q]."""
        # In 16 bit the sum would round.
        return self.weight.to(torch.promote_types(self.weight.dtype, torch.float32)).sum(0)


class _DownProjections(Experts):
    """The matrices A_1 … A_N of one group, in one parameter [N, R, I]."""

    def __init__(self, experts: int, *, rank: int, in_features: int, initial_scale: float) -> None:
        super().__init__(experts, rank, in_features)
        self.initial_scale = initial_scale
        with torch.no_grad():
            self.weight.copy_(self.initial())

    def initial(self) -> Tensor:
        """Returns the initial values of A, kaiming_uniform(a=√5) each."""
        generator = torch.Generator().manual_seed(self.initial_seed)
        values = torch.empty(self.weight.shape, device="cpu")
        for matrix in values:
            nn.init.kaiming_uniform_(matrix, a=math.sqrt(5), generator=generator)
        return values.mul_(self.initial_scale)


class _UpProjections(Experts):
    """The matrices B_1 … B_M of one layer, zero at the start, in one parameter [M, O, R]."""

    def side_by_side(self) -> Tensor:
        """Returns the matrices as one, [O, M * R]."""
        return self.weight.transpose(0, 1).flatten(1)


class MasaLinear(AdapterLinear):
    """A linear layer with MASA adapters; :class:`MasaModel` makes layers of a group share."""

    adapter_layer_names = ("masa_A", "masa_B", "masa_router")
    other_param_names = ("scaling", "masa_dropout", "expert_dropout")

    def __init__(self, base_layer: nn.Module) -> None:
        super().__init__(base_layer)
        self.scaling: dict[str, float] = {}
        self.expert_dropout: dict[str, str] = {}
        self.masa_dropout = nn.ModuleDict()
        self.masa_A = nn.ModuleDict()
        self.masa_B = nn.ModuleDict()
        self.masa_router = nn.ModuleDict()

    def update_layer(self, adapter_name: str, config: AdapterConfig) -> None:
        """Adds an adapter to this layer, not shared yet."""
        assert isinstance(config, MasaConfig)
        self.scaling[adapter_name] = config.scale
        self.expert_dropout[adapter_name] = config.expert_dropout
        self.masa_dropout[adapter_name] = nn.Dropout(config.dropout)
        self.masa_A[adapter_name] = _DownProjections(
            config.num_experts,
            rank=config.r,
            in_features=self.in_features,
            initial_scale=config.initial_scale,
        )
        up = _UpProjections(config.num_up_projections, self.out_features, config.r)
        if not config.init_weights:
            nn.init.kaiming_uniform_(up.weight, a=math.sqrt(5))
        self.masa_B[adapter_name] = up
        if config.router == "softmax":
            # nn.Linear starts with kaiming_uniform_(a=√5), as A does.
            self.masa_router[adapter_name] = nn.Linear(
                self.in_features, config.num_experts * config.num_up_projections, bias=False
            )
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def holds(self, adapter_name: str) -> bool:
        """Whether this layer has an adapter of this name."""
        return adapter_name in self.masa_A

    def update(self, adapter_name: str, x: Tensor) -> Tensor:
        """Returns s B (Σ A) x, or its gated form, [..., O], in the dtype of the adapter."""
        return self._added(adapter_name, None, x)

    def add_update(self, adapter_name: str, result: Tensor, x: Tensor) -> Tensor:
        """Returns ``result`` plus the update, which is never made by itself."""
        return self._added(adapter_name, result, x)

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Returns the frozen layer's output plus the active adapters' updates.

        One operation, where nothing depends on calling the frozen layer and the modules of the
        adapter, and no dropout gives A another input than the frozen layer's.

        Args:
            x: activations, [..., I], any floating-point dtype.
            *args: passed to the frozen layer.
            **kwargs: passed to the frozen layer.
        """
        names = [name for name in self.active_adapters if self.holds(name)]
        if len(names) != 1 or args or kwargs or self._is_dropping(names[0]):
            return super().forward(x, *args, **kwargs)
        [name] = names
        frozen, (down, up) = self.base_layer, self._projections(name)
        router = self._router(name)
        inside = (down, up) if router is None else (down, up, router)
        if not self._can_fuse(x, *inside):
            return super().forward(x, *args, **kwargs)
        assert isinstance(frozen, nn.Linear)
        return masa_linear(
            x,
            down.matrix() if router is None else down.weight,
            up.matrix() if router is None else up.weight,
            scale=self.scaling[name] * down.factor * up.factor,
            weight=frozen.weight,
            bias=frozen.bias,
            router=None if router is None else router.weight,
        )

    def delta(self, adapter_name: str) -> Tensor:
        """Returns s (Σ B) (Σ A), [O, I].

        Raises:
            ValueError: when the adapter has a router, whose weights depend on the input.
        """
        if adapter_name in self.masa_router:
            raise ValueError(
                f"masa: adapter {adapter_name!r} has router 'softmax', which depends on the input "
                "and cannot be merged; allowed is router 'none'; run the model unmerged"
            )
        down, up = self._projections(adapter_name)
        delta = up.total() @ down.total()
        return (delta * self.scaling[adapter_name]).to(up.weight.dtype)

    def lora_factors(self, adapter_name: str) -> tuple[Tensor, Tensor]:
        """Returns Σ A, [R, I], and s Σ B, [O, R].

        Raises:
            ValueError: when the adapter has a router.
        """
        if adapter_name in self.masa_router:
            return super().lora_factors(adapter_name)
        down, up = self._projections(adapter_name)
        return down.total(), up.total() * self.scaling[adapter_name]

    def down_projections(self, adapter_name: str) -> dict[str, Tensor]:
        """Returns A_1 … A_N of the layer's group, each [R, I]."""
        return number_downs(self._projections(adapter_name)[0].weight)

    def supports_lora_conversion(self, adapter_name: str = "default") -> bool:
        """Whether the update is one low-rank matrix: without a router it is."""
        return adapter_name not in self.masa_router

    def _projections(self, adapter_name: str) -> tuple[Experts, Experts]:
        down, up = self.masa_A[adapter_name], self.masa_B[adapter_name]
        assert isinstance(down, Experts)
        assert isinstance(up, Experts)
        return down, up

    def _router(self, adapter_name: str) -> nn.Linear | None:
        if adapter_name not in self.masa_router:
            return None
        router = self.masa_router[adapter_name]
        assert isinstance(router, nn.Linear)
        return router

    def _is_dropping(self, adapter_name: str) -> bool:
        """Whether dropout gives A another input than the frozen layer's."""
        dropout = self.masa_dropout[adapter_name]
        assert isinstance(dropout, nn.Dropout)
        return dropout.training and dropout.p > 0

    def _has_a_mask_each(self, adapter_name: str) -> bool:
        return self.expert_dropout[adapter_name] == "each" and self._is_dropping(adapter_name)

    def _gate_each(self, adapter_name: str, x: Tensor, scores: Tensor) -> Tensor:
        """Returns p_j A x_j for each B_j, [..., M * R], where x_j has a dropout mask of its own.

        Args:
            adapter_name: of an adapter with one A.
            x: activations, [..., I], in the dtype of the adapter.
            scores: of the router, [..., M].
        """
        down, dropout = self.masa_A[adapter_name], self.masa_dropout[adapter_name]
        at_least_32_bit = torch.promote_types(scores.dtype, torch.float32)
        gates = scores.softmax(-1, dtype=at_least_32_bit).to(x.dtype)
        features = [
            gate.unsqueeze(-1) * down(dropout(x), is_routed=True)
            for gate in torch.unbind(gates, dim=-1)
        ]
        return torch.cat(features, dim=-1)

    def _added(self, adapter_name: str, base: Tensor | None, x: Tensor) -> Tensor:
        """Returns the update, added to ``base``, by calling each module that has a matrix."""
        down, up = self._projections(adapter_name)
        x = self._cast_input_dtype(x, up.weight.dtype)
        router = self._router(adapter_name)
        is_routed = router is not None
        if router is not None and self._has_a_mask_each(adapter_name):
            u = self._gate_each(adapter_name, x, router(x))
        else:
            u = down(self.masa_dropout[adapter_name](x), is_routed=is_routed)
            if router is not None:
                u = masa_gate(u, router(x), experts=down.weight.shape[0])
        scale = self.scaling[adapter_name] * down.factor * up.factor
        result: Tensor = up(u, base, scale=scale, is_routed=is_routed)
        return result


class MasaModel(AdapterModel):
    """A model with MASA adapters."""

    prefix = "masa_"
    tuner_layer_cls = MasaLinear

    def _sharing(
        self, name: str, layer: AdapterLinear, config: AdapterConfig
    ) -> Mapping[str, Hashable]:
        assert isinstance(config, MasaConfig)
        group = find_layer_group(name, config.group_size)
        key = (*group, layer.in_features, layer.out_features)
        return dict.fromkeys(_SHARED[config.sharing], key)


register_tuner(MasaConfig, MasaModel)
