"""Examples of HD-PiSSA."""

from typing import Any

from sweeper_adapters.methods import HdPissaSpec

EXAMPLES = {
    "hd-pissa": HdPissaSpec(rank=3, slices=2),
    "hd-pissa-one": HdPissaSpec(rank=5, slices=1, targets=("q_proj", "down_proj")),
}

# Settings of the config in PEFT's own tests (see tests/conformance/cases.py).
VARIANTS: dict[str, dict[str, Any]] = {
    "HD-PiSSA": {"r": 1, "slices": 2},
}

# What all of them have, besides, on a Conv1D of 5 to 1.
ON_CONV1D = {"slices": 1}
