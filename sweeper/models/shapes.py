"""Shapes of decoder models from their configuration alone."""

from __future__ import annotations

import json
import re
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from sweeper._text import guess, shorten
from sweeper._third_party import ignore_known_warnings
from sweeper.errors import BadInputError
from sweeper.models.reading import quiet_loading, reading
from sweeper_adapters.methods import Linear, Method, ModelShape

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = [
    "ModelFacts",
    "architecture",
    "architecture_names",
    "facts_of",
    "injection_problem",
    "is_counted_by_formula",
    "shape_of",
    "skeleton",
    "trainable_parameters",
]

_ARCHITECTURES = Path(__file__).parent / "architectures"
# Where a linear of the families that are counted by formula is, if not in the attention.
_BLOCKS = {"gate_proj": "mlp", "up_proj": "mlp", "down_proj": "mlp"}
_LAYER = re.compile(r"^(?P<stack>.*?)\.(?P<index>\d+)\.(?P<name>.+)$")
_BY_FORMULA = {"llama", "mistral", "qwen2", "qwen3"}
_SIZES = (
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_hidden_layers",
    "vocab_size",
)
# The deepest published models have about 130; each layer is built as a module.
_MOST_LAYERS = 2000


@dataclass(frozen=True)
class ModelFacts:
    """What planning needs to know of a model, under the same names for all families."""

    shape: ModelShape
    """Where the layers are not all alike: the linears that one of them has."""
    are_layers_alike: bool
    """Whether formulas over ``shape`` hold."""
    width: int
    """Of the residual stream."""
    inner: int
    """Largest width inside a layer."""
    vocabulary: int
    """Rows of the token embedding."""


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

    Raises:
        BadInputError: as of :func:`facts_of`.
    """
    return facts_of(config).shape


def facts_of(config: Mapping[str, Any]) -> ModelFacts:
    """Returns what planning needs of the model that ``config`` (a ``config.json``) describes.

    LLaMA, Mistral, Qwen2 and Qwen3 are counted by formula. Any other family is built by
    transformers without memory for its weights, which imports torch.

    Raises:
        BadInputError: the family is unknown, the values are none of a model, or no layer has a
            linear.
    """
    return _facts_of(json.dumps(config, sort_keys=True))


def is_counted_by_formula(config: Mapping[str, Any]) -> bool:
    """Whether the family's layers are known here, so that nothing need be built."""
    sizes = [config.get(name) for name in _SIZES]
    family = config.get("model_type")
    return (
        isinstance(family, str)
        and family in _BY_FORMULA
        and all(isinstance(size, int) and size > 0 for size in sizes)
    )


def trainable_parameters(config: Mapping[str, Any], method: Method) -> int:
    """Returns the number of parameters that a method trains on the model of a ``config.json``.

    By the method's formula where the model's layers are all alike, else counted: the adapter is put
    into a model without values.

    Raises:
        BadInputError: the adapter cannot be put into the model.
    """
    facts = facts_of(config)
    if facts.are_layers_alike and method.is_counted_by_shape:
        return method.count(facts.shape)
    with reading(f"the method {method.label} on this model", remedy="choose other targets"):
        return _injected(json.dumps(config, sort_keys=True), method.model_dump_json())


def injection_problem(config: Mapping[str, Any], method: Method) -> str:
    """Returns why a method cannot be put into the model of a ``config.json``; empty where it can.

    A method knows the linear layers of a model from its shape. What else a family has, such as the
    stacked weights of experts, shows when the adapter is put in: it is, into a model without
    values. Families that are counted by formula have nothing else.

    Raises:
        BadInputError: the model cannot be built.
    """
    if is_counted_by_formula(config):
        return ""
    facts_of(config)
    try:
        _injected(json.dumps(config, sort_keys=True), method.model_dump_json())
    except BadInputError:
        raise
    except ValueError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - PEFT raises anything on layers it does not know
        return (
            f"{method.label} cannot be put into this model ({type(error).__name__}: {error}); it "
            "must have layers that the method adapts; choose other targets, or leave it out"
        )
    return ""


@cache
def _injected(config_json: str, method_json: str) -> int:
    import torch

    ignore_known_warnings()
    adapter: TypeAdapter[Method] = TypeAdapter(Method)
    method, model = adapter.validate_json(method_json), skeleton(json.loads(config_json))
    with torch.device("meta"), warnings.catch_warnings():
        # What PEFT says of a layer it says again where the adapter is put in to be trained.
        warnings.simplefilter("ignore")
        adapted = method.inject(model, seed=0)
    return sum(p.numel() for p in adapted.parameters() if p.requires_grad)


@cache
def _facts_of(config_json: str) -> ModelFacts:
    config = json.loads(config_json)
    if is_counted_by_formula(config):
        with reading("config.json", remedy="save the model again"):
            shape = _by_formula(config)
            width, inner = config["hidden_size"], config["intermediate_size"]
            return ModelFacts(shape, True, width, inner, config["vocab_size"])
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
        vocabulary=config["vocab_size"],
    )


def skeleton(config: Mapping[str, Any], *, dtype: str = "float32") -> PreTrainedModel:
    """Returns the model of a ``config.json``, frozen, on torch's meta device: without values.

    Args:
        config: content of the file.
        dtype: torch's name of the weights' dtype.

    Raises:
        BadInputError: transformers does not know the family, or cannot build it of these values.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    settings = dict(config)
    family = settings.pop("model_type", None)
    _require_causal_family(family, has_code="auto_map" in settings)
    try:
        built = AutoConfig.for_model(family, **settings)
        layers = getattr(built.get_text_config(), "num_hidden_layers", 0)
        if layers > _MOST_LAYERS:
            raise ValueError(f"it has {layers:,} layers, more than {_MOST_LAYERS:,}")
        with torch.device("meta"), quiet_loading():
            model: PreTrainedModel = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
                built, dtype=getattr(torch, dtype)
            )
    except Exception as error:  # a family's code raises anything on values it was not made for
        raise _cannot_build(family, f"{type(error).__name__}: {error}") from error
    model.requires_grad_(False)
    model.train(mode=False)
    return model


def _require_causal_family(family: object, *, has_code: bool) -> None:
    from transformers import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    known = set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
    if isinstance(family, str) and family in known:
        return
    if isinstance(family, str) and family in CONFIG_MAPPING:
        raise _cannot_build(family, "it has none of this family")
    # A list of what it knows would fill pages.
    hint = guess(family, sorted(known), cutoff=0.8) if isinstance(family, str) else ""
    reason = "it does not know the family" + (
        ", and code that comes with a model (auto_map) is not run here" if has_code else ""
    )
    raise _cannot_build(family, f"{reason}{'; ' if hint else ''}{hint}")


def _cannot_build(family: object, reason: str) -> BadInputError:
    return BadInputError(
        "transformers cannot build a causal language model of model_type "
        f"{shorten(repr(family), limit=80)}: {shorten(reason, limit=300)}; "
        "use a decoder model that it knows, or correct config.json"
    )


def _by_construction(config: Mapping[str, Any]) -> ModelFacts:
    model, family = skeleton(config), config.get("model_type")
    by_layer: dict[tuple[str, int], dict[str, Linear]] = {}
    for path, module in model.named_modules():
        found, linear = _LAYER.match(path), _linear_of(module)
        if found is not None and linear is not None:
            layer = by_layer.setdefault((found["stack"], int(found["index"])), {})
            layer[found["name"]] = Linear(found["name"], *linear)
    if not by_layer:
        raise BadInputError(
            f"the layers of a {family!r} model have no nn.Linear and no Conv1D; adapters need at "
            "least one layer with them; use another model"
        )
    layers, stacks = list(by_layer.values()), {stack for stack, _ in by_layer}
    linears = _united(layers)
    text = model.config.get_text_config()
    vocabulary = int(model.get_input_embeddings().get_parameter("weight").shape[0])
    return ModelFacts(
        shape=ModelShape(
            layers=len(layers),
            linears=_short_names(linears),
            total_parameters=sum(parameter.numel() for parameter in model.parameters()),
            vocabulary=vocabulary,
            stack=next(iter(stacks)) if len(stacks) == 1 else "",
        ),
        # All of one stack: a model with another one beside it (of images) has layers of two kinds.
        are_layers_alike=len(stacks) == 1 and all(layer == layers[0] for layer in layers),
        width=int(getattr(text, "hidden_size", None) or linears[0].in_features),
        inner=max(max(linear.in_features, linear.out_features) for linear in linears),
        vocabulary=vocabulary,
    )


def _linear_of(module: object) -> tuple[int, int] | None:
    """Returns inputs and outputs of a linear layer, or None."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    if isinstance(module, Conv1D):
        # GPT-2's linear layer; its weight is [inputs, outputs].
        inputs, outputs = module.get_parameter("weight").shape
        return int(inputs), int(outputs)
    return None


def _united(layers: list[dict[str, Linear]]) -> tuple[Linear, ...]:
    """Returns the linears that one of the layers has; of several sizes the smallest."""
    found: dict[str, Linear] = {}
    for layer in layers:
        for name, linear in layer.items():
            known = found.setdefault(name, linear)
            if linear.weights < known.weights:
                found[name] = linear
    return tuple(found.values())


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
