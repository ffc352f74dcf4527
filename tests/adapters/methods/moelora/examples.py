"""Examples of MoELoRA."""

from typing import Any

from sweeper_adapters.methods import MoeLoraSpec

EXAMPLES = {
    "moelora": MoeLoraSpec(rank=4, experts=3),
}

# Settings of the config in PEFT's own tests (see tests/conformance/cases.py).
VARIANTS: dict[str, dict[str, Any]] = {
    "MoELoRA": {"r": 2, "alpha": 2},
}
