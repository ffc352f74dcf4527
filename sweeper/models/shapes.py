"""Shapes of decoder models from their configuration alone."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeper._text import guess
from sweeper.errors import BadInputError
from sweeper_adapters.methods import Linear, ModelShape

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["architecture", "architecture_names", "shape_of", "skeleton"]

_ARCHITECTURES = Path(__file__).parent / "architectures"
# Where a linear of the families that are counted by formula is, if not in the attention.
_BLOCKS = {"gate_proj": "mlp", "up_proj": "mlp", "down_proj": "mlp"}
_LAYER = re.compile(r"^(?P<stack>.*?)\.(?P<index>\d+)\.(?P<name>.+)$")


@cache
def architecture_names() -> tuple[str, ...]:
    """Returns the names of the packaged configurations."""
    return tuple(sorted(path.stem for path in _ARCHITECTURES.glob("*.json")))


def architecture(name: str) -> dict[str, Any]:
    """Returns a packaged configuration: what counting needs, with no network and no weights.

    Raises:
        ValueError: there is none of this name.
    """
    if name not in architecture_names():
        hint = guess(name, architecture_names(), otherwise="leave it out to read the model's own")
        raise ValueError(
            f"no packaged architecture {name!r}; there are {', '.join(architecture_names())}; "
            f"{hint}"
        )
    content: dict[str, Any] = json.loads(
        (_ARCHITECTURES / f"{name}.json").read_text(encoding="utf-8")
    )
    return content


def shape_of(config: Mapping[str, Any]) -> ModelShape:
    """Returns the shape of the model that ``config`` (a ``config.json``) describes.

    LLaMA, Mistral, Qwen2 and Qwen3 are counted by formula. Any other family is built by
    transformers without memory for its weights, which imports torch.

    Raises:
        BadInputError: the family is unknown, or its layers have no linears of one kind.
    """
    return _shape_of(json.dumps(config, sort_keys=True))


@cache
def _shape_of(config_json: str) -> ModelShape:
    config = json.loads(config_json)
    if config.get("model_type") in {"llama", "mistral", "qwen2", "qwen3"}:
        return _by_formula(config)
    return _by_construction(config)


def _by_formula(config: Mapping[str, Any]) -> ModelShape:
    family = config["model_type"]
    hidden, ffn = config["hidden_size"], config["intermediate_size"]
    heads = config["num_attention_heads"]
    kv_heads = config.get("num_key_value_heads") or heads
    head = config.get("head_dim") or hidden // heads
    sizes = {
        "q_proj": (hidden, heads * head),
        "k_proj": (hidden, kv_heads * head),
        "v_proj": (hidden, kv_heads * head),
        "o_proj": (heads * head, hidden),
        "gate_proj": (hidden, ffn),
        "up_proj": (hidden, ffn),
        "down_proj": (ffn, hidden),
    }
    biased: set[str] = set()
    if family == "qwen2":
        biased |= {"q_proj", "k_proj", "v_proj"}
    if family != "qwen2" and config.get("attention_bias"):
        biased |= {"q_proj", "k_proj", "v_proj", "o_proj"}
    if family == "llama" and config.get("mlp_bias"):
        biased |= {"gate_proj", "up_proj", "down_proj"}
    linears = tuple(
        Linear(name, *size, path=f"{_BLOCKS.get(name, 'self_attn')}.{name}")
        for name, size in sizes.items()
    )
    norms = 2 * hidden + (2 * head if family == "qwen3" else 0)
    per_layer = norms + sum(
        linear.in_features * linear.out_features
        + (linear.out_features if linear.name in biased else 0)
        for linear in linears
    )
    layers = config["num_hidden_layers"]
    embeddings = config["vocab_size"] * hidden * (1 if config.get("tie_word_embeddings") else 2)
    return ModelShape(
        layers=layers,
        linears=linears,
        total_parameters=embeddings + layers * per_layer + hidden,
    )


def skeleton(config: Mapping[str, Any], *, dtype: str = "float32") -> PreTrainedModel:
    """Returns the model of a ``config.json``, frozen, on torch's meta device: without values.

    Args:
        config: content of the file.
        dtype: torch's name of the weights' dtype.

    Raises:
        BadInputError: transformers does not know the family.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    settings = dict(config)
    family = settings.pop("model_type", None)
    try:
        built = AutoConfig.for_model(family, **settings)
        with torch.device("meta"):
            model: PreTrainedModel = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
                built, dtype=getattr(torch, dtype)
            )
    except (ValueError, KeyError) as error:
        raise BadInputError(
            f"transformers cannot build a causal language model of model_type {family!r}: {error}; "
            "use a decoder model that it knows"
        ) from error
    model.requires_grad_(False)
    model.train(mode=False)
    return model


def _by_construction(config: Mapping[str, Any]) -> ModelShape:
    import torch

    model, family = skeleton(config), config.get("model_type")
    by_index: dict[int, dict[str, Linear]] = {}
    for path, module in model.named_modules():
        found = _LAYER.match(path)
        if found is not None and isinstance(module, torch.nn.Linear):
            linear = Linear(found["name"], module.in_features, module.out_features)
            by_index.setdefault(int(found["index"]), {})[found["name"]] = linear
    if not by_index or any(linears != by_index[0] for linears in by_index.values()):
        raise BadInputError(
            f"the layers of a {family!r} model have no nn.Linear, or are not all alike; adapters "
            "here share matrices between equal layers; use another model"
        )
    return ModelShape(
        layers=len(by_index),
        linears=_short_names(tuple(by_index[0].values())),
        total_parameters=sum(parameter.numel() for parameter in model.parameters()),
    )


def _short_names(linears: tuple[Linear, ...]) -> tuple[Linear, ...]:
    """Returns the linears under the last part of their names, where that is unique."""
    last = Counter(linear.name.rpartition(".")[2] for linear in linears)
    return tuple(
        Linear(short, linear.in_features, linear.out_features, path=linear.name)
        if last[short] == 1
        else linear
        for linear in linears
        for short in (linear.name.rpartition(".")[2],)
    )
