"""Search spaces of these tests: one that searches, one that lists, one with a budget."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from sweeper.errors import SpecError
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.sweep import Sweep

CONFIG = {
    "model_type": "llama",
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
}

SPACE = """
name: tiny
profile: tiny
methods:
  - name: masa
    experts: {int: [2, 6]}
    group_size: {choice: [1, 2, 4]}
  - name: lora
    rank: {choice: [4, 8]}
train:
  learning_rate: {loguniform: [1e-4, 1e-2]}
baselines:
  - method: {name: masa, experts: 5, group_size: 2}
  - {method: {name: lora, rank: 8}, train: {learning_rate: 1e-3}}
search: {trials: 6}
"""

PROFILE = """
name: tiny
model: {kind: folder, path: %s}
data: {kind: embedded}
train: {steps: 8, batch_size: 2}
"""

LIST_PROFILE = {
    "model": {"kind": "hub", "name": "any/one", "architecture": "smollm2-135m"},
    "data": {"kind": "embedded"},
    "train": {"steps": 8, "learning_rate": 1e-3, "evaluations": 2},
}

TRIALS: list[dict[str, Any]] = [
    {"name": "small", "method": {"name": "lora", "rank": 2}},
    {"name": "large", "method": {"name": "lora", "rank": 9}, "train": {"learning_rate": 1e-4}},
    {
        "name": "elsewhere",
        "method": {"name": "masa"},
        "architecture": "llama3-8b",
        "published": {"params": "0.52", "source": "somewhere"},
        "note": "without its router",
    },
    {"name": "here", "method": {"name": "mosa", "rank": 1}, "architecture": "smollm2-135m"},
    {"name": "again", "method": {"name": "lora", "rank": 2}},
]

BUDGET_PROFILE = {
    "name": "tiny",
    "model": {"kind": "architecture", "name": "smollm2-135m"},
    "data": {"kind": "embedded"},
    "train": {"steps": 8},
}

BUDGET_SPACE: dict[str, Any] = {
    "name": "parity",
    "profile": "tiny",
    "methods": [
        {"name": "masa", "experts": {"int": [2, 6]}},
        {"name": "lora"},
        {"name": "mosa", "grouping": {"choice": ["brt", "row"]}},
    ],
    "train": {"learning_rate": {"loguniform": [1e-4, 1e-2]}},
    "baselines": [{"method": {"name": "masa", "experts": 5}}, {"method": {"name": "mosa"}}],
    "budget": {"match": "lora", "rank": 8},
    "search": {"trials": 12},
}


def write_space(folder: Path) -> Path:
    """The file of ``SPACE``, beside a profile for a model of four layers."""
    model = folder / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps(CONFIG))
    # Reading a space looks whether these are there, and does not open them.
    for name in ("model.safetensors", "tokenizer.json"):
        (model / name).touch()
    return _write(folder, SPACE, PROFILE % model)


def load_list(folder: Path, trials: Any = TRIALS, *overrides: str, **changes: Any) -> Sweep:
    space = {"name": "list", "profile": "tiny", "trials": trials, **changes}
    path = _write(folder, yaml.safe_dump(space), yaml.safe_dump(LIST_PROFILE))
    return load_sweep(path, overrides=overrides)


def load_budget(folder: Path, **changes: Any) -> Sweep:
    space = yaml.safe_dump({**BUDGET_SPACE, **changes})
    return load_sweep(_write(folder, space, yaml.safe_dump(BUDGET_PROFILE)))


def load_design(folder: Path, design: Any, *overrides: str, **changes: Any) -> Sweep:
    """The sweep of a design over MASA of four experts, on a model of thirty layers."""
    space = {"name": "design", "profile": "tiny", "methods": [{"name": "masa", "experts": 4}]}
    space |= {"design": design, **changes}
    text = yaml.safe_dump({key: value for key, value in space.items() if value is not None})
    return load_sweep(_write(folder, text, yaml.safe_dump(LIST_PROFILE)), overrides=overrides)


def problems_of_loading(load: Callable[..., object], *args: Any, **kwargs: Any) -> dict[str, str]:
    """Path and message of each problem that ``load`` raises with."""
    with pytest.raises(SpecError) as caught:
        load(*args, **kwargs)
    return {problem.path: problem.message for problem in caught.value.problems}


def problems_of_space(path: Path, *overrides: str, text: str | None = None) -> dict[str, str]:
    if text is not None:
        path.write_text(text)
    return problems_of_loading(load_sweep, path, overrides=overrides)


def _write(folder: Path, space: str, profile: str) -> Path:
    (folder / "profiles").mkdir(exist_ok=True)
    (folder / "profiles" / "tiny.yaml").write_text(profile)
    path = folder / "tiny.yaml"
    path.write_text(space)
    return path
