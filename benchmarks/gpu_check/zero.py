"""A trial under ZeRO-2 in bfloat16, by the code of a replica and without Ray.

Beside it is the same trial without ZeRO in float32: both learn alike, or one of them is wrong.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.gpu_check.parts import Piece, Row
from benchmarks.gpu_check.sums import spread
from sweeper.distributed import alone
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.trial import TrialSpec

__all__ = ["pieces"]

METHODS = ("masa", "mosa")
_SPACES = Path(__file__).parents[2] / "search_spaces"
_STEPS, _FEW_STEPS = 60, 6
# bfloat16 has 8 bits of precision. The tests of the engine have found a hundredth on a CPU.
_MOST_APART = 0.05


def pieces(*, is_small: bool) -> Iterator[Piece]:
    """Yields a trial of MASA, and one of MoSA.

    Args:
        is_small: whether of few steps, on the CPU.
    """
    # DeepSpeed 0.19.8 keeps the first group that it sees: there is one for all.
    with alone("gloo" if is_small else "nccl"):
        for method in METHODS:

            def run(method: str = method) -> list[Row]:
                return _tried(method, is_small=is_small)

            yield Piece(f"{method}, ZeRO-2, bf16", run)


def _tried(method: str, *, is_small: bool) -> list[Row]:
    from sweeper._third_party import load_deepspeed

    try:
        load_deepspeed()
    except ImportError as error:
        return [{"status": "not run", "detail": f"DeepSpeed cannot be imported: {error}"}]
    device, steps = ("cpu", _FEW_STEPS) if is_small else ("cuda", _STEPS)
    rows, losses = [], []
    for stage, precision in ((0, "fp32"), (2, "bf16")):
        loss, times_ms = _train(_trial(method, stage, precision, steps), device=device)
        losses.append(loss)
        # The first step warms up.
        what = f"{method}, ZeRO-{stage}, {precision}"
        rows.append({"what": what, "status": "ok", "eval_loss": loss, **spread(times_ms[1:])})
    apart = abs(losses[1] / losses[0] - 1)
    rows[1]["of_limit"] = apart / _MOST_APART
    if apart > _MOST_APART:
        rows[1]["status"] = "failed"
        rows[1]["detail"] = f"its loss is {losses[1]:.4g}, and {losses[0]:.4g} in float32"
    return rows


def _trial(method: str, stage: int, precision: str, steps: int) -> TrialSpec:
    overrides = (
        f"train.steps={steps}",
        "train.evaluations=1",
        "train.eval_examples=32",
        f"engine.zero_stage={stage}",
        f"engine.precision={precision}",
    )
    return load_sweep(_SPACES / f"{method}.yaml", overrides=overrides).space.any_trial()


def _train(trial: TrialSpec, *, device: str) -> tuple[float, list[float]]:
    """Returns the loss on validation rows, and the milliseconds of each step."""
    from sweeper.evaluation.adapter import load_base_of
    from sweeper.preflight.forecast.measuring import StepLog
    from sweeper.training.trial import train

    base = load_base_of(trial, device=device)
    log = StepLog()
    with tempfile.TemporaryDirectory() as folder:
        found = train(trial, base, folder=Path(folder), progress=log)
    del base
    if device == "cuda":
        torch.cuda.empty_cache()
    return found.metrics["eval_loss"].value, [1000 * step_s for step_s in log.steps_s]
