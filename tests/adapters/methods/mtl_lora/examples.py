"""Examples of MTL-LoRA."""

from typing import Any

from sweeper_adapters.methods import MtlLoraSpec

EXAMPLES = {
    "mtl-lora": MtlLoraSpec(rank=4),
    "mtl-lora-tasks": MtlLoraSpec(rank=4, tasks=2, targets=("q_proj", "down_proj")),
}

# Settings of the config in PEFT's own tests (see tests/conformance/cases.py).
VARIANTS: dict[str, dict[str, Any]] = {
    "MTL-LoRA": {"r": 4, "alpha": 2},
}
