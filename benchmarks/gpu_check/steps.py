"""Table 11 of the MoSA paper: a training step of layers as in LLaMA3-8B, of each method.

By the bench that ``make bench-step`` runs on a CPU, with the paper's batch of 8 x 512 tokens, in
bfloat16: methods take turns in each round, and a ratio to LoRA is of one round. The roofline is the
time of all matrix products at the published rate, or of reading the base twice if that is longer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from benchmarks import step
from benchmarks._cases import Case
from benchmarks._contenders import CONTENDERS, Contender
from benchmarks._gpus import Gpu, bounds_us, gpu_named
from benchmarks.gpu_check.parts import Piece, Row
from sweeper.models.shapes import shape_of

__all__ = ["pieces", "roofline_ms"]

NAMES = ("masa-collapsed", "mosa-computed", "mosa-stored", "mosa-autograd", "dora", "hira")
_LAYERS = (1, 4)
_SETTING = step.Setting(
    "llama3", "llama3-8b", 1, 8, 512, rounds=20, headline_rounds=20, dtype="bfloat16"
)
_SMALL = replace(
    _SETTING,
    batch_size=2,
    tokens=8,
    rounds=1,
    headline_rounds=1,
    smaller={
        "hidden_size": 192,
        "intermediate_size": 256,
        "num_attention_heads": 6,
        "num_key_value_heads": 3,
    },
)


def pieces(*, is_small: bool) -> Iterator[Piece]:
    """Yields all methods on one layer, and on four.

    Args:
        is_small: whether on small layers, on the CPU.
    """
    for layers in _LAYERS[:1] if is_small else _LAYERS:
        setting = replace(_SMALL if is_small else _SETTING, layers=layers)

        def run(setting: step.Setting = setting) -> list[Row]:
            return _measured(setting, device="cpu" if is_small else "cuda")

        yield Piece(f"{layers} layer{'s' if layers > 1 else ''}", run)


def _measured(setting: step.Setting, *, device: str) -> list[Row]:
    gpu = gpu_named(torch.cuda.get_device_name()) if device == "cuda" else None
    chosen: list[Contender] = [x for x in CONTENDERS if x.name in NAMES]
    found = step.Bench(setting, device=device).run(chosen)
    return [_row(setting, row, gpu) for row in found]


def _row(setting: step.Setting, row: Row, gpu: Gpu | None) -> Row:
    what = f"{setting.layers} layer{'s' if setting.layers > 1 else ''}: {row['name']}"
    if row["status"] != "ok":
        return {"what": what, "status": "failed", "detail": row["error"]}
    time_ms, ratio = 1000 * row["step_time_s"], row["time_ratio"]
    made: Row = {
        "what": what,
        "status": "ok",
        "layers": setting.layers,
        "method": row["name"],
        "parameters": row["parameters"],
        "time_ms": time_ms,
        "over_lora": ratio["median"],
        "over_lora_low": ratio["low"],
        "over_lora_high": ratio["high"],
        "rounds": ratio["rounds"],
        "tokens_per_s": row["tokens_per_s"],
        "peak_memory_bytes": row["peak_memory_bytes"],
        "operations": row["flops"],
        "operations_over_lora": row["flop_ratio"],
        "index_bytes": row["index_bytes"],
    }
    if gpu is not None:
        made["roofline_ms"] = roofline_ms(setting, row["flops"], gpu)
        made["of_limit"] = time_ms / made["roofline_ms"]
    return made


def roofline_ms(setting: step.Setting, operations: int, gpu: Gpu) -> float:
    """Returns the least time of a step that a card's published rates allow.

    Args:
        setting: of the model.
        operations: of its matrix products.
        gpu: the card.
    """
    shape = shape_of(setting.config())
    weights = shape.layers * sum(linear.weights for linear in shape.linears)
    # Forward and backward pass read the base once each, in 16 bit.
    case = Case("step", setting.name, lambda: None, 2 * 2 * weights, operations, "tensor")
    bounds = bounds_us(case, gpu, {})
    return max(bounds.values()) / 1000
