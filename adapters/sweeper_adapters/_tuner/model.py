"""A model in which the layers of one method stand in the place of the layers that are targets."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from warnings import warn

from peft import PeftConfig
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from peft.utils.error import NoMatchingPeftModuleError
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from sweeper_adapters._patterns import demand_patterns
from sweeper_adapters._targets import (
    demand_layer_indices,
    demand_modules,
    demand_targets,
    describe_known,
    describe_stacked,
    find_missing,
    find_stacked,
    list_linear_names,
)
from sweeper_adapters._tuner.config import AdapterConfig, PatternedConfig
from sweeper_adapters._tuner.layer import AdapterLinear
from sweeper_adapters._tuner.mixed_batch import passing_adapter_names
from sweeper_adapters._tuner.names import demand_adapter_name, select_adapter_tensors
from sweeper_adapters._tuner.sharing import find_followers

__all__ = ["AdapterModel"]

# As for LoRA, where a config names no targets: by the model's type.
_DEFAULT_TARGETS = {
    model: list(names)
    for model, names in TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING.items()
}


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
            ValueError: the name cannot be that of an adapter; a target or an index is no layer's,
                and the message has the names that are near.
        """
        config = self.peft_config[adapter_name]
        assert isinstance(config, AdapterConfig)
        demand_adapter_name(adapter_name)
        targets = config.target_modules or ()
        if state_dict is None:
            _demand_places(model, config)
        # PEFT keeps it by names in which it may confuse an adapter's with another.
        noted = [(p, p.requires_grad) for p in model.parameters()] if self._layers() else []
        try:
            super().inject_adapter(
                model, adapter_name, autocast_adapter_dtype, low_cpu_mem_usage, state_dict
            )
        except NoMatchingPeftModuleError as error:
            named = [targets] if isinstance(targets, str) else sorted(targets)
            names = describe_known(named, list_linear_names(model))
            stacked = find_stacked(model, targets)
            hint = f"; {describe_stacked(stacked)}" if stacked else ""
            raise NoMatchingPeftModuleError(f"{error} Of the model: {names}{hint}") from error
        for parameter, requires_grad in noted:
            parameter.requires_grad_(requires_grad)
        self._share(model, adapter_name, config)
        stacked = find_stacked(model, targets)
        if stacked:
            warn(f"Adapters are put in linear layers; {describe_stacked(stacked)}", stacklevel=2)

    def _share(self, model: nn.Module, adapter_name: str, config: AdapterConfig) -> None:
        """Makes layers share what the method shares."""
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
        selected = select_adapter_tensors(
            model,
            adapter_name,
            selected=selected,
            state_dict=state_dict,
            others=unwanted_adapter_names,
        )
        again = find_followers(model, adapter_name)
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
        for follower, leader in find_followers(model, adapter_name).items():
            if leader in loaded:
                loaded[follower] = loaded[leader]
        return loaded

    @contextmanager
    def _enable_peft_forward_hooks(
        self,
        *args: Any,  # noqa: ARG002 - of the forward pass
        **kwargs: Any,
    ) -> Iterator[None]:
        layers = self._layers()
        known = {name for layer in layers for name in self.peft_config if layer.holds(name)}
        names, beams = kwargs.get("adapter_names"), kwargs.get("num_beams") or 1
        with passing_adapter_names(self, layers, names, known=known, beams=beams):
            yield

    def _layers(self) -> list[AdapterLinear]:
        """Returns the layers that have, or had, an adapter."""
        return [module for module in self.modules() if isinstance(module, AdapterLinear)]

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
            target.update_layer(adapter_name, peft_config.of_layer(current_key))
            return
        frozen = target.get_base_layer() if isinstance(target, BaseTunerLayer) else target
        if not isinstance(frozen, nn.Linear | Conv1D):
            raise ValueError(
                f"Target module {current_key} is not supported: it is a "
                f"{type(frozen).__name__}; allowed are nn.Linear and Conv1D; "
                "take it out of target_modules"
            )
        layer = self._new_layer(target)
        layer.update_layer(adapter_name, peft_config.of_layer(current_key))
        if adapter_name not in self.active_adapters:
            layer.requires_grad_(False)
        self._replace_module(parent, target_name, layer, target)


def _demand_places(model: nn.Module, config: AdapterConfig) -> None:
    """Refuses places that are there in part, of which PEFT says nothing; nothing is changed yet.

    Raises:
        ValueError: a target, another module that is named, an index or a pattern of a layer is not
            in the model.
    """
    targets = config.target_modules
    # Where none is there PEFT says so.
    if isinstance(targets, set) and len(find_missing(model, targets)) < len(targets):
        demand_targets(model, sorted(targets))
    for field in ("exclude_modules", "modules_to_save"):
        names = getattr(config, field)
        if names is not None and not isinstance(names, str):
            demand_modules(model, field, names)
    if config.layers_to_transform is not None:
        demand_layer_indices(model, config.layers_to_transform)
    if isinstance(config, PatternedConfig):
        demand_patterns(model, config, ("rank_pattern", "alpha_pattern"))
