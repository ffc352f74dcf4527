"""Examples of LoRA-GA."""

from typing import Any

from sweeper_adapters.methods import LoraGaSpec

EXAMPLES = {
    "lora-ga": LoraGaSpec(rank=4),
    "lora-ga-ranks": LoraGaSpec(
        rank=4,
        rank_pattern={"q_proj": 2, r"layers\.0\..*down_proj": 6},
        alpha_pattern={"[kq]_proj": 5},
    ),
}

# Settings of the config in PEFT's own tests (see tests/conformance/cases.py).
VARIANTS: dict[str, dict[str, Any]] = {
    "LoRA-GA": {"r": 2, "alpha": 1},
}
