"""Examples of MoRA."""

from typing import Any

from sweeper_adapters.methods import MoraSpec

EXAMPLES = {
    "mora-1": MoraSpec(rank=3, type=1),
    "mora-6": MoraSpec(rank=3, type=6),
}

# Settings of the config in PEFT's own tests (see tests/conformance/cases.py).
VARIANTS: dict[str, dict[str, Any]] = {
    "MoRA 6": {"r": 2},
    "MoRA 1": {"r": 2, "mora_type": 1},
}
