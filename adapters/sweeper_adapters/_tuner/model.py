"""A model in which the layers of one method stand in the place of the layers that are targets."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from peft import PeftConfig
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from peft.utils.error import NoMatchingPeftModuleError
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from sweeper_adapters._targets import describe_known, list_linear_names
from sweeper_adapters._tuner.config import AdapterConfig
from sweeper_adapters._tuner.layer import AdapterLinear
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
            names = describe_known(targets, list_linear_names(model))
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
