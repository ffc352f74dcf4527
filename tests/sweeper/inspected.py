"""Trained trials to look into: of MASA, LoRA, MoSA, a mixture of experts, and learnt prompts."""

import json
from pathlib import Path

from sweeper_adapters.methods import (
    DoraSpec,
    LoraSpec,
    MasaSpec,
    Method,
    MoeLoraSpec,
    MosaSpec,
    PissaSpec,
    PromptTuningSpec,
)
from tests.sweeper import exported, scenarios, tiny

TARGETS = ("q_proj", "v_proj")
METHODS: dict[str, Method] = {
    "masa": MasaSpec(rank=4, experts=3, group_size=2, targets=TARGETS),
    "lora": LoraSpec(rank=4, targets=TARGETS),
    "mosa": MosaSpec(groups=200, targets=TARGETS),
    "moelora": MoeLoraSpec(rank=2, targets=TARGETS),
    "prompt_tuning": PromptTuningSpec(virtual_tokens=4),
    "dora": DoraSpec(rank=4, targets=TARGETS),
    "pissa": PissaSpec(rank=4, targets=TARGETS),
}
NAME = "trained"


def make_world(root: Path) -> Path:
    """Writes a model and data of two domains, and trains a trial of each method; returns the home.

    A trial's identity is its number, in the order of :data:`METHODS`.
    """
    exported.write_model(root / "model")
    (root / "data").mkdir()
    for name, (start, stop) in {
        "train": (0, 72),
        "validation": (100, 148),
        "test": (200, 206),
    }.items():
        lines = [
            json.dumps({"prompt": x.prompt, "answer": x.answer, "domain": x.domain})
            for x in tiny.examples(start, stop)
        ]
        (root / "data" / f"{name}.jsonl").write_text("\n".join(lines))
    [wrong] = scenarios.run(exported.train_all, 1, root, METHODS, "fp32", NAME)
    assert wrong == {}
    return root / "sweeps"


def name_of(method: str) -> str:
    """What the trial of a method is called on the command line."""
    return f"{NAME}/{list(METHODS).index(method):012x}"
