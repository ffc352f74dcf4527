"""What of PEFT's types the table of their fields does not say: their sizes, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Literal

__all__ = ["FIELDS_LEFT_OUT", "RANGES", "VALUES_LEFT_OUT", "TypeFacts", "facts_of"]


@dataclass(frozen=True)
class TypeFacts:
    """What holds of a type with PEFT's defaults; measured by the tests of this folder."""

    size: str | None = None
    """The field that a parameter budget turns; None where the type has none."""
    bound: Literal["narrow", "wide", "weights", "any"] = "narrow"
    """Largest size: the smaller width of the narrowest layer, the largest width, or its weights."""
    is_divisor: bool = False
    """Whether the size must divide widths, or the number of parameters falls with it."""
    is_affine: bool = False
    """Whether each step of the size adds as many parameters."""
    size_step: str | None = None
    """The field that the size is a multiple of."""
    is_uniform: bool = True
    """Whether each decoder layer after the first adds as many parameters."""
    is_counted_by_shape: bool = True
    """Whether linear layers alone say how many parameters it has."""
    is_prompt: bool = False
    """Whether it puts virtual tokens before each text."""
    targets: Literal["none"] | None = None
    """``none`` where there are no layers to choose."""
    start_tolerance: float | None = 0.0
    """As of a method's spec."""
    depends_on_seed: bool = True
    """Whether two seeds give two adapters."""
    changes_base: bool = False
    """Whether frozen weights must be put back after it."""
    is_mergeable: bool = True
    """Whether PEFT adds it to the frozen weights without loss."""
    is_built_on_cpu: bool = False
    """Whether it cannot be built on the meta device, but on the CPU for a model that is there."""
    reads_no_weights: bool = False
    """Whether its layers call the frozen layer, and never read its weight: ZeRO-3 needs that."""
    defaults: Mapping[str, object] = field(default_factory=dict)
    """Values where they are not given, in the place of PEFT's."""
    required: tuple[str, ...] = ()
    """Fields without which it cannot be built."""
    refused: str = ""
    """Why it is not trained here; empty where it is."""

    def limit(self, widths: Sequence[tuple[int, int]]) -> int:
        """Returns the largest size on layers of these inputs and outputs."""
        if self.bound == "narrow":
            return min(min(pair) for pair in widths)
        if self.bound == "wide":
            return max(max(pair) for pair in widths)
        if self.bound == "weights":
            return min(inputs * outputs for inputs, outputs in widths)
        return 2**20


def facts_of(name: str) -> TypeFacts:
    """Returns the facts of a type."""
    return _FACTS.get(name, _UNKNOWN)


_SET_HERE = "PEFT sets it by itself; leave it out"
_OBJECT = "it takes an object of a class of PEFT's, which no file can write; leave it out"
FIELDS_LEFT_OUT: Mapping[str, str] = {
    "target_modules": "it is called targets here, as for all methods; write targets",
    "exclude_modules": "what gets an adapter is named by targets alone; leave it out of these",
    "fan_in_fan_out": _SET_HERE,
    "bias": "it trains biases of the base, which the next trial would find changed; leave it out",
    "modules_to_save": "it trains modules of the base, which no count has; leave it out",
    "layers_pattern": "layers are found by PEFT; give layers_to_transform alone",
    "trainable_token_indices": "it trains rows of the embedding besides; use type TRAINABLE_TOKENS",
    "target_parameters": "it adapts no layers, but parameters, which no count has; leave it out",
    "layer_replication": "it makes another model of the base; leave it out",
    "megatron_config": _OBJECT,
    "megatron_core": "no model here is Megatron's; leave it out",
    "runtime_config": _OBJECT,
    "tokenizer_name_or_path": "the tokenizer is that of the model; leave it out",
    "tokenizer_kwargs": "the tokenizer is that of the model; leave it out",
    "prompt_tuning_init_text": "it is of prompt_tuning_init TEXT, which is not taken; leave it out",
    "alora_invocation_tokens": "its texts must hold these tokens; no data here has; leave it out",
    "loftq_config": "it quantises the base; use qlora",
    "eva_config": "it needs a pass over the data before training; leave it out",
    "corda_config": "it needs a pass over the data before training; leave it out",
    "lora_ga_config": "it needs gradients before training; use lora_ga",
    "monteclora_config": _OBJECT,
    "velora_config": _OBJECT,
    "arrow_config": "it joins adapters that are trained already; leave it out",
    "use_bdlora": _OBJECT,
    "kasa_config": _OBJECT,
    "use_qalora": "it needs a base that GPTQ has quantised; leave it out",
    "qalora_group_size": "it needs a base that GPTQ has quantised; leave it out",
    "ensure_weight_tying": "it is of modules_to_save, which is not taken; leave it out",
}
"""Fields of PEFT's that no method takes, and why, with what to do."""

VALUES_LEFT_OUT: Mapping[tuple[str, str], tuple[tuple[object, ...], str]] = {
    ("LORA", "init_lora_weights"): (
        (True, False, "gaussian", "orthogonal"),
        "the others change the base, or need data before training; use pissa or lora_ga",
    ),
    ("PROMPT_TUNING", "prompt_tuning_init"): (
        ("RANDOM", "SAMPLE_VOCAB"),
        "TEXT needs a tokenizer by its name, which is not taken here",
    ),
    ("VBLORA", "save_only_topk_weights"): (
        (False,),
        "its file would be another than what is trained; use vblora with saves_top_k",
    ),
}
"""Of a type's field the values that are allowed, and why no others."""

RANGES: Mapping[tuple[str, str], tuple[float, float]] = {
    ("ADAPTION_PROMPT", "adapter_len"): (1, inf),
    ("ADAPTION_PROMPT", "adapter_layers"): (1, inf),
    ("PROMPT_TUNING", "num_virtual_tokens"): (1, inf),
    ("P_TUNING", "num_virtual_tokens"): (1, inf),
    ("P_TUNING", "encoder_hidden_size"): (1, inf),
    ("P_TUNING", "encoder_num_layers"): (1, inf),
    ("P_TUNING", "encoder_dropout"): (0, 1),
}
"""Smallest and largest value of a type's field, which no layers of a model bound."""

_UNKNOWN = TypeFacts(refused="this version does not know it; take one that does")
# Of a float32 model's outputs, where PEFT multiplies by an identity that is rounded.
_ROUNDING = 1e-5
_TASKS = "its layers must be told the task of each sample by an argument of the model"
_CACHE = (
    "it puts keys and values before the text by way of the model's cache, which trials do without"
)
_VALUES = "its shapes hang on the base's values, so that nothing can be counted before it is loaded"
# Prompt tuning and P-tuning differ in what makes their tokens, which is PEFT's.
_VIRTUAL_TOKENS = TypeFacts(
    "num_virtual_tokens",
    bound="any",
    is_affine=True,
    is_prompt=True,
    targets="none",
    start_tolerance=None,
    is_mergeable=False,
    reads_no_weights=True,
    required=("num_virtual_tokens",),
)
_FACTS: Mapping[str, TypeFacts] = {
    "ADALORA": TypeFacts(refused="its ranks are allocated in training; use {name: adalora}"),
    "ADAMSS": TypeFacts(refused=_VALUES),
    "ADAPTION_PROMPT": TypeFacts(
        "adapter_len",
        bound="any",
        is_affine=True,
        targets="none",
        is_mergeable=False,
        required=("adapter_len", "adapter_layers"),
    ),
    "BEFT": TypeFacts(is_mergeable=False, depends_on_seed=False),
    "BOFT": TypeFacts(
        "boft_block_size", is_divisor=True, is_built_on_cpu=True, depends_on_seed=False
    ),
    "C3A": TypeFacts("block_size", is_divisor=True, start_tolerance=None),
    "CARTRIDGE": TypeFacts(refused=_CACHE),
    "CPT": TypeFacts(
        refused="its loss and its masks are others than those of a text and an answer"
    ),
    "DEFT": TypeFacts("r", is_affine=True, start_tolerance=_ROUNDING),
    "DELORA": TypeFacts("r", is_affine=True),
    "FOURIERFT": TypeFacts("n_frequency", bound="weights", is_affine=True, start_tolerance=None),
    "FROD": TypeFacts(refused=_VALUES),
    "GLORA": TypeFacts("r", is_affine=True),
    "GRALORA": TypeFacts("r", is_affine=True, size_step="gralora_k"),
    "HIRA": TypeFacts("r", is_affine=True),
    "HRA": TypeFacts("r", is_affine=True, start_tolerance=_ROUNDING),
    "IA3": TypeFacts(depends_on_seed=False),
    "LILY": TypeFacts("r", is_affine=True, is_uniform=False, is_mergeable=False),
    "LN_TUNING": TypeFacts(
        targets="none", is_counted_by_shape=False, is_mergeable=True, depends_on_seed=False
    ),
    "LOHA": TypeFacts("r", is_affine=True),
    "LOKR": TypeFacts("r"),
    "LORA": TypeFacts("r", is_affine=True, reads_no_weights=True),
    "MISS": TypeFacts("r", is_affine=True, depends_on_seed=False),
    "MULTITASK_PROMPT_TUNING": TypeFacts(refused=_TASKS),
    "OFT": TypeFacts("oft_block_size", is_divisor=True, depends_on_seed=False),
    "OSF": TypeFacts(start_tolerance=_ROUNDING, depends_on_seed=False),
    "PEANUT": TypeFacts("r"),
    "POLY": TypeFacts(refused=_TASKS),
    "PREFIX_TUNING": TypeFacts(refused=_CACHE),
    "PROMPT_TUNING": _VIRTUAL_TOKENS,
    "PSOFT": TypeFacts("r", depends_on_seed=False),
    "PVERA": TypeFacts("r", bound="wide", is_affine=True, depends_on_seed=False),
    "P_TUNING": _VIRTUAL_TOKENS,
    "RANDLORA": TypeFacts("r", is_divisor=True, depends_on_seed=False),
    "ROAD": TypeFacts(depends_on_seed=False),
    "SHADOW": TypeFacts(refused="its layers fail in a decoder of the installed transformers"),
    "SHIRA": TypeFacts("r", is_affine=True, depends_on_seed=False),
    "SUPERTUNING": TypeFacts(depends_on_seed=False),
    "TINYLORA": TypeFacts(
        "u", bound="weights", is_affine=True, is_uniform=False, depends_on_seed=False
    ),
    "TRAINABLE_TOKENS": TypeFacts(
        targets="none",
        is_counted_by_shape=False,
        depends_on_seed=False,
        required=("token_indices",),
    ),
    "UNILORA": TypeFacts(
        "theta_d_length",
        bound="weights",
        is_affine=True,
        is_uniform=False,
        start_tolerance=None,
        is_built_on_cpu=True,
    ),
    "VBLORA": TypeFacts("r", is_affine=True, start_tolerance=None),
    "VERA": TypeFacts("r", bound="wide", is_affine=True, depends_on_seed=False),
    "WAVEFT": TypeFacts("n_frequency", bound="weights", is_affine=True, depends_on_seed=False),
    "XLORA": TypeFacts(refused="it weighs adapters that are trained already"),
}
