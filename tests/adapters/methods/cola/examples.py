"""Examples of CoLA."""

from typing import Any

from sweeper_adapters.methods import ColaSpec

EXAMPLES = {
    "cola": ColaSpec(rank=4),
    "cola-random": ColaSpec(rank=4, collaboration="random"),
    "cola-heuristic": ColaSpec(rank=4, collaboration="heuristic", up_projections=5),
    "cola-lora": ColaSpec(rank=4, init="lora", targets=("q_proj", "down_proj")),
}

# Settings of the config in PEFT's own tests (see tests/conformance/cases.py).
VARIANTS: dict[str, dict[str, Any]] = {
    "CoLA": {"r": 2, "alpha": 1},
    "CoLA random": {"r": 2, "alpha": 1, "collaboration": "random", "init": "lora"},
}

# What all of them have, besides, on a Conv1D of 5 to 1.
ON_CONV1D = {"r": 1}
