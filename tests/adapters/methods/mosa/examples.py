"""Examples of MoSA."""

from typing import Any

from sweeper_adapters.methods import MosaSpec

EXAMPLES = {
    "mosa": MosaSpec(rank=4),
    "mosa-stored": MosaSpec(rank=4, index="stored"),
    "mosa-row": MosaSpec(groups=33, grouping="row"),
    "mosa-col": MosaSpec(groups=33, grouping="col"),
    "mosa-skewed": MosaSpec(groups=33, grouping="skewed", targets=("q_proj", "down_proj")),
}

# Settings of the config in PEFT's own tests (see tests/conformance/cases.py).
VARIANTS: dict[str, dict[str, Any]] = {
    "MoSA": {"num_groups": 5},
    "MoSA row": {"num_groups": 5, "grouping": "row"},
    "MoSA skewed": {"num_groups": 3, "grouping": "skewed"},
}
