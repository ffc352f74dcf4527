"""PEFT's types: an example of each one that is trained, small enough for the tests' model."""

from typing import Any

from sweeper_adapters.methods import PeftSpec

FIELDS: dict[str, dict[str, Any]] = {
    "ADAPTION_PROMPT": {"adapter_len": 3, "adapter_layers": 2},
    "BEFT": {},
    "BOFT": {"boft_block_size": 4},
    "C3A": {"block_size": 8},
    "DEFT": {"r": 4},
    "DELORA": {"r": 4},
    "FOURIERFT": {"n_frequency": 20},
    "GLORA": {"r": 4},
    "GRALORA": {"r": 4, "gralora_k": 2},
    "HIRA": {"r": 4},
    "HRA": {"r": 4},
    "IA3": {},
    "LILY": {"r": 4},
    "LN_TUNING": {},
    "LOHA": {"r": 4},
    "LOKR": {"r": 4},
    "LORA": {"r": 4},
    "MISS": {"r": 4},
    "OFT": {"oft_block_size": 4},
    "OSF": {"effective_rank": 4},
    "PEANUT": {"r": 4},
    "PROMPT_TUNING": {"num_virtual_tokens": 3},
    "PSOFT": {"r": 4},
    "PVERA": {"r": 8},
    "P_TUNING": {"num_virtual_tokens": 3, "encoder_hidden_size": 5},
    "RANDLORA": {"r": 4},
    "ROAD": {"group_size": 4},
    "SHIRA": {"r": 2},
    "SUPERTUNING": {"sparsity": 0.9},
    "TINYLORA": {"u": 8},
    "TRAINABLE_TOKENS": {"token_indices": list(range(3, 20))},
    "UNILORA": {"theta_d_length": 20},
    "VBLORA": {"r": 4, "num_vectors": 6, "vector_length": 8},
    "VERA": {"r": 8},
    "WAVEFT": {"n_frequency": 20},
}
TYPES = {name: PeftSpec(type=name, **fields) for name, fields in FIELDS.items()}
"""An example of each type."""

# Those that do all that methods of this project do; the others have tests of their own here beside.
EXAMPLES = {"peft-lora": TYPES["LORA"], "peft-loha": TYPES["LOHA"]}
