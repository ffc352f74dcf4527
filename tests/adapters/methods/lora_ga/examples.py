"""Examples of LoRA-GA."""

from typing import Any

from sweeper_adapters.methods import LoraGaSpec

EXAMPLES = {
    "lora-ga": LoraGaSpec(rank=4),
}

# Settings of the config in PEFT's own tests (see tests/conformance/cases.py).
VARIANTS: dict[str, dict[str, Any]] = {
    "LoRA-GA": {"r": 2, "alpha": 1},
}
