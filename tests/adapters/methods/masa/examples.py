"""Examples of MASA."""

from typing import Any

from sweeper_adapters.methods import MasaSpec

EXAMPLES = {
    "masa": MasaSpec(rank=4),
    "masa-b": MasaSpec(rank=4, sharing="b", group_size=3),
    "masa-both": MasaSpec(rank=4, sharing="both", group_size=3, up_projections=2),
    "masa-none": MasaSpec(rank=4, sharing="none", experts=2),
    "masa-one": MasaSpec(rank=4, experts=1, group_size=1, targets=("q_proj",)),
    "masa-router": MasaSpec(rank=4, router="softmax", up_projections=2, experts=3),
}

# Settings of the config in PEFT's own tests (see tests/conformance/cases.py).
VARIANTS: dict[str, dict[str, Any]] = {
    "MASA": {"r": 4, "alpha": 2},
    "MASA both": {"r": 2, "alpha": 1, "sharing": "both", "num_up_projections": 2},
    "MASA router": {"r": 2, "alpha": 2, "router": "softmax", "num_experts": 2},
}
