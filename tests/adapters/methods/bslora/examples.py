"""Examples of BSLoRA."""

from typing import Any

from sweeper_adapters.methods import BsloraSpec

EXAMPLES = {
    "bslora-slice": BsloraSpec(),
    "bslora-gate": BsloraSpec(transform="gate", share_size=12),
    "bslora-kron": BsloraSpec(transform="kron", block=8),
    "bslora-intra": BsloraSpec(local_rank=0, inter_rank=0, targets=("q_proj", "k_proj", "up_proj")),
}

# Settings of the config in PEFT's own tests (see tests/conformance/cases.py).
VARIANTS: dict[str, dict[str, Any]] = {
    "BSLoRA slice": {"scale": 0.5},
    "BSLoRA gate": {"scale": 0.5, "transform": "gate", "share_size": 8},
    "BSLoRA kron": {"scale": 0.5, "transform": "kron", "block": 1},
}

# What all of them have, besides, on a Conv1D of 5 to 1.
ON_CONV1D = {"scale": 8}
