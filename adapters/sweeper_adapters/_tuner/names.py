"""Names of adapters: which can be, and what of a state dict PEFT confuses with them.

PEFT takes out of a state dict what belongs to other adapters by looking for their names anywhere in
its keys. An adapter called ``weight``, ``0`` or ``q_proj`` so takes away what belongs to others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import Tensor, nn

from sweeper_adapters._tuner.sharing import collect_adapter_tensors

__all__ = ["demand_adapter_name", "select_adapter_tensors"]


def demand_adapter_name(adapter_name: str) -> None:
    """Checks that a name can be that of a module, which an adapter is.

    Raises:
        ValueError: it is empty, has a dot, or is what containers of modules call something else.
    """
    if adapter_name and "." not in adapter_name and not hasattr(nn.ModuleDict(), adapter_name):
        return
    raise ValueError(
        f"adapter_name is {adapter_name!r}; allowed is a text without a dot that is no attribute "
        "of torch.nn.ModuleDict, as 'items' is; choose another adapter_name"
    )


def select_adapter_tensors(
    model: nn.Module,
    adapter_name: str,
    *,
    selected: Mapping[str, Tensor],
    state_dict: Mapping[str, Tensor],
    others: Collection[str],
) -> dict[str, Tensor]:
    """Returns what PEFT has selected, without what is others', and what it has missed by mistake.

    Where nothing is left of a state dict PEFT takes it whole, with what belongs to others.

    Args:
        model: with the adapter.
        adapter_name: of the adapter.
        selected: entries of ``state_dict`` that PEFT takes for the adapter's.
        state_dict: of the model, without what PEFT takes for other adapters'.
        others: their names.

    Raises:
        ValueError: what is missing was in a state dict that is not the model's own.
    """
    lost = {
        key: tensor
        for key, tensor in collect_adapter_tensors(model, adapter_name).items()
        if key not in selected and _is_confused(key, others)
    }
    if lost and not _is_own(model, state_dict):
        named = ", ".join(repr(name) for name in others if _is_confused(next(iter(lost)), [name]))
        raise ValueError(
            f"adapter {adapter_name!r} cannot be selected from the state_dict given: PEFT takes "
            f"{next(iter(lost))} for a tensor of adapter {named}; allowed beside a state_dict are "
            "adapters whose names are not in the names of modules and parameters; save without "
            "state_dict, or name the adapter otherwise"
        )
    foreign = {key for name in others for key in collect_adapter_tensors(model, name)}
    return {key: value for key, value in selected.items() if key not in foreign} | lost


def _is_confused(key: str, others: Collection[str]) -> bool:
    """Whether PEFT takes a key for one of other adapters."""
    return any(f".{name}." in key or key.endswith(f".{name}") for name in others)


def _is_own(model: nn.Module, state_dict: Mapping[str, Tensor]) -> bool:
    """Whether the values of a state dict are where the model has them."""
    own = {name: parameter.data_ptr() for name, parameter in model.named_parameters()}
    return all(own[key] == value.data_ptr() for key, value in state_dict.items() if key in own)
