"""What our methods have in common as PEFT tuners: config, layer and model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any
from warnings import warn

import torch
from peft import PeftConfig
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer, check_adapters_to_merge
from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from peft.utils.error import NoMatchingPeftModuleError
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from sweeper_adapters._sharing import followers
from sweeper_adapters._targets import linear_names, what_there_is

__all__ = ["AdapterConfig", "AdapterLinear", "AdapterModel", "number_error"]

# As for LoRA, where a config names no targets: by the model's type.
_DEFAULT_TARGETS = {
    model: list(names)
    for model, names in TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING.items()
}


def number_error(method: str, name: str, value: float, *, allowed: str) -> ValueError:
    """Returns the error for a number of a config that is out of its range."""
    return ValueError(f"{method}: {name} is {value}; allowed is {allowed}; change {name}")


@dataclass
class AdapterConfig(PeftConfig):
    """Which layers get an adapter, the same for all our methods."""

    target_modules: list[str] | set[str] | str | None = None
    """Names, or a regular expression, of the layers that get an adapter."""
    exclude_modules: list[str] | set[str] | str | None = None
    """Names, or a regular expression, of layers that get none though they are targets."""
    modules_to_save: list[str] | None = None
    """Layers that are trained whole and saved with the adapter."""
    layers_to_transform: list[int] | int | None = None
    """Indices of the decoder layers that get an adapter; all without it."""
    layers_pattern: list[str] | str | None = None
    """Name of the list of decoder layers, for ``layers_to_transform``."""
    init_weights: bool = True
    """Whether the adapter starts as no change of the model; False is for tests."""

    def __post_init__(self) -> None:
        """Turns lists into sets, as PEFT's configs do."""
        super().__post_init__()  # type: ignore[no-untyped-call]
        if isinstance(self.target_modules, list):
            self.target_modules = set(self.target_modules)
        if isinstance(self.exclude_modules, list):
            self.exclude_modules = set(self.exclude_modules)
        if self.layers_pattern and self.layers_to_transform is None:
            raise ValueError(
                f"layers_pattern is {self.layers_pattern!r} but layers_to_transform is not set. "
                "When `layers_pattern` is specified, `layers_to_transform` must also be specified; "
                "set it or leave layers_pattern out"
            )


class AdapterLinear(nn.Module, BaseTunerLayer):
    """A frozen linear layer with an update: ``y = base_layer(x) + update(x)``.

    A subclass keeps its parameters in containers by adapter name, listed in
    ``adapter_layer_names``, and says what the update is.
    """

    def __init__(self, base_layer: nn.Module) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.merged_adapters = []
        self._disable_adapters = False
        self._to_be_loaded: set[str] = set()
        self._weight_before_merge: Tensor | None = None
        frozen = self.get_base_layer()
        # GPT-2's Conv1D is a linear layer whose weight is [I, O].
        self.is_transposed = isinstance(frozen, Conv1D)
        names = ("nx", "nf") if self.is_transposed else ("in_features", "out_features")
        self.in_features: int = getattr(frozen, names[0])
        self.out_features: int = getattr(frozen, names[1])

    def _move_adapter_to_device_of_base_layer(
        self, adapter_name: str, device: torch.device | None = None
    ) -> None:
        """Moves an adapter to the device of the frozen layer, and a new one to its dtype.

        PEFT calls it again when it has loaded an adapter with ``low_cpu_mem_usage``, and would then
        round values of float32 to the 16 bit of the base.
        """
        sides = [getattr(self, side) for side in self.adapter_layer_names]
        inside = [side[adapter_name] for side in sides if adapter_name in side]
        if adapter_name in self._to_be_loaded:
            self._to_be_loaded.discard(adapter_name)
            for module in inside:
                module.to(device or self.weight.device)
            return
        if any(p.is_meta for module in inside for p in module.parameters()):
            self._to_be_loaded.add(adapter_name)
        super()._move_adapter_to_device_of_base_layer(adapter_name, device)

    @abstractmethod
    def update_layer(self, adapter_name: str, config: AdapterConfig) -> None:
        """Adds an adapter to this layer."""

    @abstractmethod
    def holds(self, adapter_name: str) -> bool:
        """Whether this layer has an adapter of this name."""

    @abstractmethod
    def update(self, adapter_name: str, x: Tensor) -> Tensor:
        """Returns what the adapter adds to the output, [..., O], for x, [..., I]."""

    @abstractmethod
    def delta(self, adapter_name: str) -> Tensor:
        """Returns ΔW, [O, I].

        Raises:
            ValueError: when the update is not a matrix product, and cannot be merged.
        """

    def lora_factors(self, adapter_name: str) -> tuple[Tensor, Tensor]:
        """Returns A, [R, I], and B, [O, R], of the LoRA with the same update: ΔW = B A.

        Raises:
            ValueError: when the update is no LoRA.
        """
        raise ValueError(
            f"adapter {adapter_name!r} of a {type(self).__name__} is not a LoRA; it can be "
            "exported in its own format; use --format peft"
        )

    def get_delta_weight(self, adapter_name: str) -> Tensor:
        """Returns ΔW in the layout of the frozen weight, in the adapter's dtype."""
        delta = self.delta(adapter_name)
        return delta.T if self.is_transposed else delta

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Adds the updates of adapters to the frozen weight.

        Args:
            safe_merge: refuse to merge when the result has NaN or infinite values.
            adapter_names: the adapters, or None for the active ones.

        Raises:
            ValueError: when the update cannot be merged, or ``safe_merge`` finds such a value.
        """
        names = [x for x in check_adapters_to_merge(self, adapter_names) if self.holds(x)]
        if not names:
            return
        weight = self.weight
        # A sum in 16 bit would round once for each adapter.
        merged = weight.data.to(torch.promote_types(weight.dtype, torch.float32))
        for name in names:
            merged = merged + self.get_delta_weight(name)
        if safe_merge and not torch.isfinite(merged).all():
            raise ValueError(
                f"NaNs detected in the merged weights. The adapter {','.join(names)} seems to be "
                "broken; allowed are finite values; merge an earlier checkpoint"
            )
        if self._weight_before_merge is None:
            # Subtracting the update again would not give the same bits.
            self._weight_before_merge = weight.data.to("cpu", copy=True)
        weight.data.copy_(merged)
        self.merged_adapters.extend(names)

    def unmerge(self) -> None:
        """Restores the frozen weight, bit for bit."""
        if self._weight_before_merge is None:
            warn("Already unmerged. Nothing to do.", stacklevel=2)
            return
        self.weight.data.copy_(self._weight_before_merge)
        self._weight_before_merge = None
        self.merged_adapters.clear()

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Returns the frozen layer's output plus the active adapters' updates.

        Args:
            x: activations, [..., I], any floating-point dtype.
            *args: passed to the frozen layer.
            **kwargs: passed to the frozen layer.
        """
        if self.disable_adapters and self.merged:
            self.unmerge()
        result: Tensor = self.base_layer(x, *args, **kwargs)
        if self.disable_adapters or self.merged:
            return result
        dtype = result.dtype
        for name in self.active_adapters:
            if self.holds(name):
                result = self.add_update(name, result, x)
        return result.to(dtype)

    def add_update(self, adapter_name: str, result: Tensor, x: Tensor) -> Tensor:
        """Returns ``result`` plus the update, [..., O], in the wider of their dtypes."""
        return result + self.update(adapter_name, x)

    def _can_fuse(self, x: Tensor, *inside: nn.Module) -> bool:
        """Whether reading the weights of layers is the same as calling the layers.

        It is not where something depends on the call: under ZeRO-3, which gathers weights in the
        hooks of the calls; under offloading; for quantised weights; under autocast; and where
        adapters are merged or disabled.

        Args:
            x: input of the layer.
            *inside: modules of the adapter whose parameters would be read, too.
        """
        frozen = self.base_layer
        return (
            not self.disable_adapters
            and not self.merged
            and type(frozen) is nn.Linear
            and frozen.weight.device == x.device
            and frozen.weight.dtype == x.dtype
            and not torch.is_autocast_enabled(x.device.type)
            and all(_is_bare(module) for module in (frozen, *inside))
        )


def _is_bare(module: nn.Module) -> bool:
    """Whether calling a module does no more than its class says, with weights that are there."""
    # Asked for each layer in each pass, so without the generators of nn.Module.
    return not (
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or "forward" in vars(module)
        # The mark of a weight that ZeRO-3 has partitioned.
        or any(hasattr(parameter, "ds_id") for parameter in module._parameters.values())
    )


class AdapterModel(BaseTuner):
    """Puts the layers of one method in the place of the layers that are targets.

    What layers share is one module under several names, so the optimizer sees it once. It is saved
    once, under the name of the first layer that has it.
    """

    target_module_mapping = _DEFAULT_TARGETS
    tuner_layer_cls: type[AdapterLinear]

    def _sharing(
        self,
        name: str,  # noqa: ARG002 - here, most methods share nothing
        layer: AdapterLinear,  # noqa: ARG002
        config: AdapterConfig,  # noqa: ARG002
    ) -> Mapping[str, Hashable]:
        """Returns what a layer shares: its attribute, and a key that the layers sharing it have."""
        return {}

    def inject_adapter(
        self,
        model: nn.Module,
        adapter_name: str,
        autocast_adapter_dtype: bool = True,
        low_cpu_mem_usage: bool = False,
        state_dict: dict[str, Tensor] | None = None,
    ) -> None:
        """Adds an adapter to all targets, and makes layers share.

        Sharing is done here and not in PEFT's hook after injection, because ``add_adapter`` calls
        this method alone.

        Raises:
            ValueError: no layer is a target; the message has the names that are near.
        """
        config = self.peft_config[adapter_name]
        assert isinstance(config, AdapterConfig)
        try:
            super().inject_adapter(
                model, adapter_name, autocast_adapter_dtype, low_cpu_mem_usage, state_dict
            )
        except NoMatchingPeftModuleError as error:
            named = config.target_modules or ()
            targets = [named] if isinstance(named, str) else sorted(named)
            names = what_there_is(targets, linear_names(model))
            raise NoMatchingPeftModuleError(f"{error} Of the model: {names}") from error
        leaders: dict[tuple[str, Hashable], nn.Module] = {}
        for name, layer in model.named_modules():
            if not (isinstance(layer, AdapterLinear) and layer.holds(adapter_name)):
                continue
            for side, key in self._sharing(name, layer, config).items():
                container = getattr(layer, side)
                container[adapter_name] = leaders.setdefault((side, key), container[adapter_name])

    @classmethod
    def _get_adapter_state_dict(
        cls,
        model: nn.Module,
        config: PeftConfig,
        adapter_name: str,
        state_dict: dict[str, Tensor],
        unwanted_adapter_names: list[str],
    ) -> dict[str, Tensor]:
        """Returns what is saved: each shared tensor under its first name only."""
        selected: dict[str, Tensor] = super()._get_adapter_state_dict(
            model, config, adapter_name, state_dict, unwanted_adapter_names
        )
        again = followers(model, adapter_name)
        return {key: value for key, value in selected.items() if key not in again}

    @classmethod
    def _remap_adapter_state_dict_for_load(
        cls,
        model: nn.Module,
        config: PeftConfig,
        adapter_name: str,
        state_dict: dict[str, Tensor],
    ) -> dict[str, Tensor]:
        """Returns what is loaded: each shared tensor under all its names."""
        loaded: dict[str, Tensor] = super()._remap_adapter_state_dict_for_load(
            model, config, adapter_name, state_dict
        )
        for follower, leader in followers(model, adapter_name).items():
            if leader in loaded:
                loaded[follower] = loaded[leader]
        return loaded

    def _new_layer(self, target: nn.Module) -> AdapterLinear:
        """Returns a layer without adapters that wraps ``target``."""
        return self.tuner_layer_cls(target)

    def _create_and_replace(
        self,
        peft_config: PeftConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,  # noqa: ARG002 - for methods that adapt bare parameters
    ) -> None:
        assert isinstance(peft_config, AdapterConfig)
        if isinstance(target, AdapterLinear) and isinstance(target, self.tuner_layer_cls):
            target.update_layer(adapter_name, peft_config)
            return
        frozen = target.get_base_layer() if isinstance(target, BaseTunerLayer) else target
        if not isinstance(frozen, nn.Linear | Conv1D):
            raise ValueError(
                f"Target module {current_key} is not supported: it is a "
                f"{type(frozen).__name__}; allowed are nn.Linear and Conv1D; "
                "take it out of target_modules"
            )
        layer = self._new_layer(target)
        layer.update_layer(adapter_name, peft_config)
        if adapter_name not in self.active_adapters:
            layer.requires_grad_(False)
        self._replace_module(parent, target_name, layer, target)
