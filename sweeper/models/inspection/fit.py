"""Whether the weights of a checkpoint are those of its model, name by name and shape by shape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeper._text import count, shorten
from sweeper.errors import BadInputError
from sweeper.models.inspection.checkpoint import read_headers
from sweeper.models.reading import quiet_loading, reading

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

__all__ = ["require_alone", "require_fit", "require_quantised", "require_whole"]

# Parts of the names of tensors that only a checkpoint of a quantisation has, by its quant_method.
_QUANTISED = {
    "bitsandbytes": (".absmax", ".SCB"),
    "gptq": (".qweight",),
    "awq": (".qweight",),
    "compressed-tensors": (".weight_packed", ".weight_scale"),
    "fp8": ("weight_scale_inv", ".weight_scale"),
    "mxfp4": ("_blocks",),
}


def require_fit(files: Sequence[Path], model: PreTrainedModel, *, subject: str) -> None:
    """Looks whether the weights in files are those of a model, without reading their values.

    transformers itself loads tensors that have no values into a model that has none, so what it
    renames, merges, ties and ignores at a real load is that here, too.

    Args:
        files: of weights.
        model: of the folder's config.json, on the meta device.
        subject: what is loaded, for the message.

    Raises:
        BadInputError: a weight is missing, unexpected, or of another shape.
    """
    tensors = _without_values(files)
    quantisation = getattr(model.config, "quantization_config", None)
    if quantisation is not None:
        require_quantised(quantisation, tensors, subject=subject)
        # Only the package can say which tensors it makes of its own ones.
        return
    _require_floating(tensors, subject=subject)
    with reading(f"the weights of {subject}", remedy="save the model again"), quiet_loading():
        loaded: Any = type(model).from_pretrained(
            None,
            config=model.config,
            state_dict=tensors,
            device_map={"": "meta"},
            dtype=model.dtype,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    # A pair, because of output_loading_info.
    require_whole(loaded[1], model, subject=subject)


def require_whole(info: Mapping[str, Any], model: PreTrainedModel, *, subject: str) -> None:
    """Looks whether a load has given each weight of a model its value, and nothing else.

    Args:
        info: what transformers tells of the load (``output_loading_info``); it has left out what
            the family may lack or have besides, and tied weights.
        model: that was loaded.
        subject: what was loaded, for the message.

    Raises:
        BadInputError: a weight is missing, unexpected, or of another shape.
    """
    # Buffers are computed from the configuration; old checkpoints have them all the same.
    buffers = {name for name, _ in model.named_buffers()}
    mismatched = sorted(str(key[0]) for key in info["mismatched_keys"])
    groups = {
        "missing": [key for key in info["missing_keys"] if key not in buffers],
        "unexpected": [key for key in info["unexpected_keys"] if not _is_buffer(key, buffers)],
        "of another shape": mismatched,
    }
    found = [
        f"{count(len(keys), 'weight')} {what} ({_some(keys)})"
        for what, keys in groups.items()
        if keys
    ]
    if not found:
        return
    raise BadInputError(
        f"the weights of {subject} are not those of its config.json ({type(model).__name__}): "
        f"{', '.join(found)}; transformers would draw the missing ones at random; "
        "save the whole model with save_pretrained, under the names that it has there"
    )


def require_alone(model: PreTrainedModel, *, subject: str) -> None:
    """Looks whether transformers has attached an adapter to a model that it has loaded.

    Raises:
        BadInputError: it has.
    """
    if getattr(model, "_hf_peft_config_loaded", False):
        raise BadInputError(
            f"{subject} comes with a PEFT adapter (adapter_config.json), which transformers has "
            "loaded into it; a base must have no adapter; merge it (merge_and_unload) and save the "
            "result"
        )


def require_quantised(quantisation: object, names: Iterable[str], *, subject: str) -> None:
    """Looks whether the package of a quantisation is here and the weights are quantised.

    Args:
        quantisation: the ``quantization_config`` of config.json.
        names: of the tensors.
        subject: what is loaded, for the message.

    Raises:
        BadInputError: one of them is not so.
    """
    from transformers.quantizers.auto import AutoHfQuantizer, AutoQuantizationConfig

    remedy = (
        "install the package that it needs, or use the model without quantization_config; the "
        "method qlora quantises a whole model itself"
    )
    with reading(f"the quantization_config of {subject}", remedy=remedy), quiet_loading():
        settings: Any = quantisation
        if isinstance(settings, Mapping):
            settings = AutoQuantizationConfig.from_dict(dict(settings))
        quantizer = AutoHfQuantizer.from_config(settings, pre_quantized=True)
        quantizer.validate_environment(device_map={"": "cpu"}, weights_only=True)
    method = str(getattr(settings.quant_method, "value", settings.quant_method))
    marks = _QUANTISED.get(method)
    if marks and not any(mark in name for name in names for mark in marks):
        raise BadInputError(
            f"the config.json of {subject} has a quantization_config ({method}), but its weights "
            "are not quantised; both must be so; take quantization_config out of config.json (the "
            "method qlora quantises a whole model itself)"
        )


def _require_floating(tensors: Mapping[str, torch.Tensor], *, subject: str) -> None:
    """Looks whether all weights are in floating point: transformers would take any number for it.

    Raises:
        BadInputError: one is not.
    """
    whole = [n for n, x in tensors.items() if n.endswith("weight") and not x.is_floating_point()]
    if whole:
        dtype = str(tensors[whole[0]].dtype).removeprefix("torch.")
        raise BadInputError(
            f"{count(len(whole), 'weight')} of {subject} (of {dtype}: {_some(whole)}) are not in "
            "floating point, and its config.json has no quantization_config that says what they "
            "mean; both must be so, or neither; fetch or save the whole model again"
        )


def _without_values(files: Sequence[Path]) -> dict[str, torch.Tensor]:
    """Returns the tensors of files of weights, on the meta device."""
    import torch
    from safetensors.torch import _TYPES  # its own table of dtypes; the public API reads values

    tensors: dict[str, torch.Tensor] = {}
    for path in files:
        with reading(f"the weights in {path}", remedy="fetch or save the model again"):
            if path.suffix == ".safetensors":
                for name, (dtype, size) in read_headers(path).items():
                    tensors[name] = torch.empty(size, dtype=_TYPES[dtype], device="meta")
            else:
                tensors.update(torch.load(path, map_location="meta", weights_only=True))
    return tensors


def _is_buffer(key: str, buffers: set[str]) -> bool:
    # A checkpoint of the model without its head lacks the first part of the names.
    return key in buffers or any(buffer.endswith(f".{key}") for buffer in buffers)


def _some(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = f", … {len(ordered) - 3} more" if len(ordered) > 3 else ""
    return ", ".join(shorten(name, limit=80) for name in ordered[:3]) + more
