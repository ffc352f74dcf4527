"""Examples of MultiLoRA."""

from typing import Any

from sweeper_adapters.methods import MultiLoraSpec

EXAMPLES = {
    "multilora": MultiLoraSpec(rank=4),
    "multilora-three": MultiLoraSpec(rank=3, parallel=3, targets=("q_proj", "down_proj")),
}

# Settings of the config in PEFT's own tests (see tests/conformance/cases.py).
VARIANTS: dict[str, dict[str, Any]] = {
    "MultiLoRA": {"r": 2, "alpha": 1},
}
