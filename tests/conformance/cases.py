"""Our configs in the form of PEFT's tables of test cases, and tiny models in the Hub's layout.

`make conformance` takes the first variant of each tuner, three places and one decoder;
`TESTS=whole make conformance` takes all of them.
"""

from pathlib import Path
from typing import Any

import sweeper_adapters
from sweeper_adapters import TUNERS
from tests.adapters.specs import load_examples
from tests.whole import IS_WHOLE

# Config and settings for each variant of each tuner. PEFT's models have layers of 10 to 20, of 20
# to 2, and embeddings, so sizes are small; its tests train with SGD and rates of up to 0.5, so
# scales are.
VARIANTS: list[tuple[str, type, dict[str, Any]]] = [
    (name, getattr(sweeper_adapters, tuner.classes[0]), settings)
    for tuner in TUNERS.values()
    for number, (name, settings) in enumerate(load_examples(tuner.folder).VARIANTS.items())
    if IS_WHOLE or number == 0
]

# What PEFT's tables ask of a LoRA on its MLP: one layer by name, by list, two, one saved whole, and
# a Conv1D, as GPT-2 has them.
_PLACES: list[tuple[str, str, dict[str, Any]]] = [
    ("two", "MLP", {"target_modules": ["lin0", "lin1"]}),
    ("whole", "MLP", {"target_modules": ["lin0"], "modules_to_save": ["lin1"]}),
    ("conv1d", "EmbConv1D", {"target_modules": ["conv1d"]}),
]
if IS_WHOLE:
    _PLACES += [
        ("one", "MLP", {"target_modules": "lin0"}),
        ("listed", "MLP", {"target_modules": ["lin0"]}),
    ]

# A step of one scale for all moves too little there, and no matrix has a rank above 1.
_ON_CONV1D: dict[type, dict[str, Any]] = {
    getattr(sweeper_adapters, tuner.classes[0]): getattr(
        load_examples(tuner.folder), "ON_CONV1D", {}
    )
    for tuner in TUNERS.values()
}


def reason_to_skip(test: str, config: type, settings: dict[str, Any]) -> str:
    """Returns why one of PEFT's tests does not hold for one of our cases; empty where it does."""
    has_router = settings.get("router") == "softmax"
    is_two = settings.get("target_modules") == ["lin0", "lin1"]
    if test == "test_only_params_are_updated" and has_router and is_two:
        return "inputs of up to 89 saturate the router's softmax, whose gradient is then exactly 0"
    return ""


def custom_cases() -> list[tuple[str, str, type, dict[str, Any]]]:
    """Returns (name, model, config class, settings) for PEFT's custom models."""
    return [
        (f"{variant} {place}", model, config, {**settings, **where, **_extra(config, place)})
        for variant, config, settings in VARIANTS
        for place, model, where in _PLACES
    ]


def _extra(config: type, place: str) -> dict[str, Any]:
    """Returns what a variant needs on the Conv1D of 5 to 1, besides its settings."""
    return _ON_CONV1D[config] if place == "conv1d" else {}


def active_cases() -> list[tuple[str, str, type, dict[str, Any], dict[str, Any]]]:
    """Returns pairs of adapters, on the same layer and on two, that are active together."""
    same, other = {"target_modules": ["lin0"]}, {"target_modules": ["lin1"]}
    return [
        (
            f"{variant} {name}",
            "ours",
            config,
            {**settings, **same, "init_weights": False},
            {**settings, **second, "init_weights": False},
        )
        for variant, config, settings in VARIANTS
        for name, second in (("same", same), ("different", other))
    ]


def decoder_cases() -> list[tuple[type, dict[str, Any]]]:
    """Returns (config class, settings) for PEFT's decoder models; targets by the model's type."""
    return [
        (config, {"task_type": "CAUSAL_LM", "target_modules": None, **settings})
        for _, config, settings in VARIANTS
    ]


def build_decoders(folder: Path) -> list[str]:
    """Writes tiny decoders with a tokenizer, and returns their folders."""
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer, paths = _build_tokenizer(), []
    for name, config in _build_configs().items():
        torch.manual_seed(0)
        path = folder / name
        AutoModelForCausalLM.from_config(config).save_pretrained(path)
        tokenizer.save_pretrained(path)
        paths.append(str(path))
    return paths


def _build_tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word: number for number, word in enumerate(["<pad>", "<s>", "</s>", *"abcdefgh"])}
    made = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )


def _build_configs() -> dict[str, Any]:
    """A LLaMA with grouped queries; a Qwen2 with biases, an OPT, and a GPT-2 with its Conv1D.

    The last one's folder does not carry its name, because PEFT's tests skip by it.
    """
    from transformers import GPT2Config, LlamaConfig, OPTConfig, Qwen2Config

    common: dict[str, Any] = {
        "vocab_size": 64,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    decoder: dict[str, Any] = {
        **common,
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    first = {"tiny-LlamaForCausalLM": LlamaConfig(**decoder)}
    if not IS_WHOLE:
        return first
    return {
        **first,
        "tiny-qwen2": Qwen2Config(**decoder),
        "tiny-OPTForCausalLM": OPTConfig(
            **common,
            hidden_size=16,
            word_embed_proj_dim=16,
            ffn_dim=24,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=64,
        ),
        "tiny-Conv1D": GPT2Config(**common, n_embd=16, n_layer=3, n_head=4, n_positions=64),
    }
