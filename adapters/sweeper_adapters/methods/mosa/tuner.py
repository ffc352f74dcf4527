"""MoSA: every weight is moved by the trained value of its group, ``y = (W0 + λ[Γ]) x``.

λ starts at zero. Γ, which group each weight belongs to, follows from the shape and a seed and is
the same for all layers of one shape. It is never saved, and by default not even stored: the kernels
compute it as they go.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any, Literal

import torch
from peft import PeftConfig, PeftType
from torch import Tensor, nn

from sweeper_adapters._tuner import (
    AdapterConfig,
    AdapterLinear,
    AdapterModel,
    build_number_error,
    register_tuner,
)
from sweeper_kernels import Tessellation, group_index, mosa_linear

__all__ = ["MosaConfig", "MosaLinear", "MosaModel"]

_GROUPINGS = ("brt", "row", "col", "skewed")
_INDICES = ("computed", "stored")


@dataclass
class MosaConfig(AdapterConfig):
    """Config of a MoSA adapter."""

    r: int | None = None
    """LoRA rank with the same number of parameters, K = r * (in + out); 32 when neither this nor
    num_groups is given, as in the paper."""
    num_groups: int | dict[str, int] | None = None
    """K, trained values of each layer, instead of r; or K by the name of the layer, or its end."""
    grouping: Literal["brt", "row", "col", "skewed"] = "brt"
    """How weights are put in groups (appendix B.8); ``brt`` is the balanced random tessellation."""
    skew: float = 0.85
    """With ``skewed``: the ratio of one group's size to the one before."""
    tessellation_seed: int = 0
    """Seed of the tessellation."""
    index: Literal["computed", "stored"] = "computed"
    """``computed``: Γ takes no memory. ``stored``: it is kept as 4 bytes for each weight, once for
    all layers of one shape, as in the paper (appendix C.2). Both give the same values."""

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            ValueError: when a value is out of its range, or both r and num_groups are given.
        """
        super().__post_init__()
        self.peft_type = PeftType("MOSA")
        if self.r is not None and self.num_groups is not None:
            raise ValueError(
                f"mosa: r is {self.r} and num_groups is {self.num_groups}; one of the two sets the "
                "size; leave the other out"
            )
        if self.r is None and self.num_groups is None:
            self.r = 32
        by_name = self.num_groups if isinstance(self.num_groups, dict) else {}
        for name, value in (("r", self.r), ("num_groups", self.num_groups), *by_name.items()):
            if isinstance(value, int) and value < 1:
                raise build_number_error("mosa", name, value, allowed="1 or more")
        if not 0 < self.skew < 1:
            raise build_number_error("mosa", "skew", self.skew, allowed="above 0 and below 1")
        if not 0 <= self.tessellation_seed < 2**63:
            raise build_number_error(
                "mosa", "tessellation_seed", self.tessellation_seed, allowed="0 to 2**63 - 1"
            )
        for name, known in (("grouping", _GROUPINGS), ("index", _INDICES)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"mosa: {name} is {getattr(self, name)!r}; allowed is one of "
                    f"{', '.join(known)}; change {name}"
                )

    def of_layer(self, name: str) -> MosaConfig:
        """Returns the config of one layer: itself where all layers have the same.

        Args:
            name: of the layer in the model.

        Raises:
            ValueError: when num_groups is by name, and has none for this layer.
        """
        if not isinstance(self.num_groups, dict):
            return self
        for key, groups in self.num_groups.items():
            if name == key or name.endswith(f".{key}"):
                one = copy(self)
                one.num_groups = groups
                return one
        raise ValueError(
            f"mosa: num_groups has no number for the layer {name}; it names "
            f"{', '.join(self.num_groups)}; add the layer, or exclude it"
        )

    def tessellation(self, *, out_features: int, in_features: int) -> Tessellation:
        """Returns the tessellation of a weight matrix [out_features, in_features].

        A config whose num_groups is by name has none: see :meth:`of_layer`.

        Raises:
            ValueError: when it has more groups than the matrix has weights.
        """
        groups = self.num_groups
        assert not isinstance(groups, dict)
        if groups is None:
            assert self.r is not None
            groups = self.r * (in_features + out_features)
        return Tessellation(
            out_features,
            in_features,
            groups,
            strategy=self.grouping,
            seed=self.tessellation_seed,
            skew=self.skew,
        )


class _StoredIndices:
    """Γ of each tessellation and device, made at its first use; one for each model."""

    def __init__(self) -> None:
        self._known: dict[tuple[Tessellation, torch.device], Tensor] = {}

    def get(self, tessellation: Tessellation, device: torch.device) -> Tensor:
        """Returns Γ, [O, I], int32."""
        key = (tessellation, device)
        if key not in self._known:
            # Once for all passes: torch.compile would take seconds to trace it.
            compute = torch.compiler.disable(group_index)  # type: ignore[no-untyped-call]
            # A later pass may train with it.
            with torch.inference_mode(False):
                self._known[key] = compute(tessellation, device=device)
        return self._known[key]


class _Values(nn.Module):
    """λ of one layer, [K].

    A module and not a bare parameter: ZeRO-3 gathers a parameter when its module is called.
    """

    def __init__(self, tessellation: Tessellation, stored: _StoredIndices | None) -> None:
        super().__init__()
        self.tessellation = tessellation
        self.weight = nn.Parameter(torch.zeros(tessellation.groups))
        self._stored = stored

    def index(self) -> Tensor | Tessellation:
        """Returns Γ, [O, I], on the device of λ, or what it is computed from."""
        if self._stored is None:
            return self.tessellation
        return self._stored.get(self.tessellation, self.weight.device)

    def forward(self, x: Tensor) -> Tensor:
        """Returns λ[Γ] x, [..., O], in the dtype of x."""
        return mosa_linear(x, self.weight, self.index())

    def extra_repr(self) -> str:
        """Returns the tessellation, for printing."""
        return str(self.tessellation)


class MosaLinear(AdapterLinear):
    """A linear layer with MoSA adapters."""

    adapter_layer_names = ("mosa_values",)
    other_param_names = ()

    def __init__(self, base_layer: nn.Module, stored: _StoredIndices) -> None:
        super().__init__(base_layer)
        self.mosa_values = nn.ModuleDict()
        self._stored = stored

    def update_layer(self, adapter_name: str, config: AdapterConfig) -> None:
        """Adds an adapter to this layer."""
        assert isinstance(config, MosaConfig)
        tessellation = config.tessellation(
            out_features=self.out_features, in_features=self.in_features
        )
        values = _Values(tessellation, self._stored if config.index == "stored" else None)
        if not config.init_weights:
            nn.init.normal_(values.weight, std=0.1)
        self.mosa_values[adapter_name] = values
        self._move_adapter_to_device_of_base_layer(adapter_name)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def holds(self, adapter_name: str) -> bool:
        """Whether this layer has an adapter of this name."""
        return adapter_name in self.mosa_values

    def update(self, adapter_name: str, x: Tensor) -> Tensor:
        """Returns λ[Γ] x, [..., O], in the dtype of x."""
        result: Tensor = self.mosa_values[adapter_name](x)
        return result

    def delta(self, adapter_name: str) -> Tensor:
        """Returns λ[Γ], [O, I]."""
        values = self._values(adapter_name)
        index = group_index(values.tessellation, device=values.weight.device)
        return values.weight[index.long()]

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Returns (W0 + λ[Γ]) x + bias.

        Two ways to the same value. One product with W0 + λ[Γ] is the cheaper (three products of
        full size in a training step instead of five), but reads the frozen weight without calling
        the layer that owns it, and adds λ to it. So it is taken only where nothing depends on that
        call (see ``_can_fuse``), and not in 16 bit, where W0 + λ[Γ] would round a small λ away. In
        all other cases the frozen layer is called and λ[Γ] x is added.

        Args:
            x: activations, [..., I], any floating-point dtype.
            *args: passed to the frozen layer.
            **kwargs: passed to the frozen layer.
        """
        names = [name for name in self.active_adapters if self.holds(name)]
        is_precise = x.dtype in (torch.float32, torch.float64)
        if len(names) != 1 or args or kwargs or not is_precise:
            return super().forward(x, *args, **kwargs)
        values, frozen = self._values(names[0]), self.base_layer
        if not self._can_fuse(x, values):
            return super().forward(x)
        assert isinstance(frozen, nn.Linear)
        return mosa_linear(x, values.weight, values.index(), weight=frozen.weight, bias=frozen.bias)

    def supports_lora_conversion(
        self,
        adapter_name: str = "default",  # noqa: ARG002 - true for all
    ) -> bool:
        """Whether the update is a matrix: it always is."""
        return True

    def _values(self, adapter_name: str) -> _Values:
        values = self.mosa_values[adapter_name]
        assert isinstance(values, _Values)
        return values


class MosaModel(AdapterModel):
    """A model with MoSA adapters; all layers of one shape use the same Γ."""

    prefix = "mosa_"
    tuner_layer_cls = MosaLinear

    def _pre_injection_hook(
        self,
        model: nn.Module,  # noqa: ARG002 - PEFT's signature, here and below
        config: PeftConfig,  # noqa: ARG002
        adapter_name: str,  # noqa: ARG002
    ) -> None:
        # Called once for a model, not for its later adapters: they use the same Γ, too.
        self._stored = _StoredIndices()

    def _new_layer(self, target: nn.Module) -> AdapterLinear:
        return MosaLinear(target, self._stored)

    def _create_and_replace(
        self,
        peft_config: PeftConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        assert isinstance(peft_config, MosaConfig)
        super()._create_and_replace(
            peft_config.of_layer(current_key),
            adapter_name,
            target,
            target_name,
            parent,
            current_key,
            parameter_name,
        )


register_tuner(MosaConfig, MosaModel)
