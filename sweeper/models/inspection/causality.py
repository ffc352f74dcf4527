"""Whether a model's outputs at a position depend on later tokens: then it would see the answer."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

from sweeper.errors import BadInputError
from sweeper.models.reading import quiet_loading, reading

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel

__all__ = ["require_causal", "small_model"]

_LENGTH, _SHARED = 12, 7
# Relative to the largest output. Both rows go through the same operations, so equal prefixes give
# equal outputs but where a layer groups tokens by their content (experts): rounding of the dtype.
_TOLERANCES = {"float32": 1e-4, "bfloat16": 0.02, "float16": 0.005}

_VOCABULARY = 128
# Some families cannot be built so narrow; these take more time.
_MOST_PARAMETERS = (5_000_000, 60_000_000)
_LAYERS = (
    "num_hidden_layers",
    "n_layer",
    "n_layers",
    "num_layers",
    "decoder_layers",
    "encoder_layers",
)
# Widths that are a multiple of the number of heads, the heads, and other widths.
_STREAMS = (
    "hidden_size",
    "n_embd",
    "d_model",
    "word_embed_proj_dim",
    "embedding_size",
    "attention_hidden_size",
)
_HEADS = (
    "num_attention_heads",
    "n_head",
    "n_heads",
    "num_heads",
    "decoder_attention_heads",
    "encoder_attention_heads",
    "num_key_value_heads",
    "num_kv_heads",
)
_INNER = (
    "intermediate_size",
    "ffn_dim",
    "d_ff",
    "ffn_hidden_size",
    "n_inner",
    "decoder_ffn_dim",
    "encoder_ffn_dim",
    "moe_intermediate_size",
    "intermediate_size_mlp",
)


def require_causal(model: PreTrainedModel, *, subject: str) -> None:
    """Asks a model with values for two texts that begin alike; both must be answered alike there.

    Args:
        model: in evaluation mode.
        subject: what it is, for the message.

    Raises:
        BadInputError: its outputs depend on later tokens or are no numbers, or it cannot be asked.
    """
    import torch

    # Not 0 and 1, which are often padding and the like; the second text differs at its end.
    vocabulary = int(model.get_input_embeddings().get_parameter("weight").shape[0])
    pad = getattr(model.config.get_text_config(), "pad_token_id", None)
    allowed = [token for token in range(min(vocabulary, 4 * _LENGTH)) if token != pad]
    first = [allowed[(7 * position + 3) % len(allowed)] for position in range(_LENGTH)]
    second = [*first[:_SHARED], *(allowed[-1 - position] for position in range(_LENGTH - _SHARED))]
    with (
        reading(f"a forward pass of {subject}", remedy="use another model"),
        torch.no_grad(),
    ):
        ids = torch.tensor([first, second], device=model.device)
        logits: torch.Tensor = model(input_ids=ids, use_cache=False).logits.float()
        scale = float(logits.abs().max())
        difference = float((logits[0, :_SHARED] - logits[1, :_SHARED]).abs().max())
    dtype = str(model.dtype).removeprefix("torch.")
    if not math.isfinite(scale + difference):
        raise BadInputError(
            f"{subject} ({type(model).__name__}) answers a short text with NaN or infinity in "
            f"{dtype}; its weights are damaged, or too large for that precision; set "
            "engine.precision to bf16 or fp32, or fetch the model again"
        )
    tolerance = _TOLERANCES[dtype]
    if difference > tolerance * scale:
        raise BadInputError(
            f"{subject} ({type(model).__name__}) is no causal language model: what it predicts at "
            f"a position depends on later tokens (by {difference:.2g} of {scale:.2g}), so that in "
            "training it would see the answer; its config.json must make it a decoder (is_decoder, "
            "is_causal); use a model that was trained as a decoder"
        )


def small_model(config: PreTrainedConfig) -> PreTrainedModel | None:
    """Returns a small model with random values of the family and settings of a configuration.

    It has few layers and tokens, and narrow ones where the model is wide; positions, attention and
    all else are the configuration's.

    Args:
        config: of the model.

    Returns:
        None where the family cannot be built so small, so that it must be asked after loading.
    """
    for most in _MOST_PARAMETERS:
        for divisor in (1, 2, 4, 8, 16, 32, 64):
            try:
                with quiet_loading():
                    made = _built(_shrunk(config, divisor), most=most)
            except Exception:  # noqa: BLE001 - a family's code raises anything on odd sizes
                continue
            if made is not None:
                return made
    return None


def _shrunk(config: PreTrainedConfig, divisor: int) -> PreTrainedConfig:
    made = copy.deepcopy(config)
    text: Any = made.get_text_config()
    layers, heads = int(text.num_hidden_layers), int(getattr(text, "num_attention_heads", 0) or 0)
    for name, value in list(vars(text).items()):
        if isinstance(value, list | tuple) and len(value) == layers > 2:
            setattr(text, name, value[:2])
        elif isinstance(value, bool) or not isinstance(value, int):
            continue
        elif name in _LAYERS:
            setattr(text, name, min(value, 2))
        elif name in _HEADS or name in _INNER:
            setattr(text, name, max(1, value // divisor))
        elif name in _STREAMS:
            # A head keeps its width, whose half and quarter are used for positions.
            kept = max(1, heads // divisor) / heads if heads else 1 / divisor
            setattr(text, name, max(1, int(value * kept)))
        elif name.startswith("vocab_size"):
            setattr(text, name, min(value, _VOCABULARY))
        elif name.endswith("_token_id"):
            setattr(text, name, min(value, min(int(text.vocab_size), _VOCABULARY) - 1))
    return made


def _built(config: PreTrainedConfig, *, most: int) -> PreTrainedModel | None:
    """Returns the model with random values, None where it would have more parameters."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        planned = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    if sum(parameter.numel() for parameter in planned.parameters()) > most:
        return None
    # The caller's random numbers stay as they are.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made: PreTrainedModel = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
        for parameter in made.parameters():
            if parameter.ndim >= 2:
                # Large enough that each layer has a say.
                torch.nn.init.normal_(parameter, std=float(parameter.shape[-1]) ** -0.5)
    made.requires_grad_(False)
    made.train(mode=False)
    with torch.no_grad():
        # Sizes that do not go together show here at the latest.
        logits: torch.Tensor = made(input_ids=torch.full((2, 3), 5), use_cache=False).logits
    # What is drawn at random may be no numbers for a family; then its own weights are asked.
    return made if bool(logits.isfinite().all()) else None
