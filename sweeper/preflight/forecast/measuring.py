"""A few real steps of some trials, measured: time, memory, disk.

They are trained by the code of a replica, on one worker and without Ray; what that writes goes into
a temporary folder.
"""

from __future__ import annotations

import gc
import math
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from sweeper.data.tokens.encoding import Encoded, Tokens
from sweeper.data.tokens.table import TokenTable
from sweeper.estimates import Estimate
from sweeper.experiment.trial import TrialSpec
from sweeper.tracking.record import Course
from sweeper.training.schedule import DataOrder

if TYPE_CHECKING:
    from sweeper.models.frozen import FrozenBase

__all__ = [
    "MeasuredBase",
    "MeasuredTrial",
    "Request",
    "StepLog",
    "measure",
    "peak_of",
    "process_start_s",
]

_STORED = ConfigDict(frozen=True, extra="ignore")

# Steps of a trial that is slow, and of one whose steps take less than a share of a second: their
# times vary more. The first warms up, the second has the largest micro-batch.
_STEPS, _SHORT_STEPS = 5, 24
_SHORT_S = 0.2
# Validation rows of an evaluation where a step is slow.
_ROWS = 16
# Micro-batches whose sizes are looked at, evenly over a trial.
_LOOKED_AT = 2000
# Of no consequence for what a step costs, and small, so that no loss diverges.
_RATE = 1e-6


class Request(BaseModel):
    """What is to be measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trials: tuple[TrialSpec, ...]
    """Of one model, precision and data; the first one is measured first."""
    threads: int = Field(ge=1)
    """Threads of torch."""
    on_gpu: bool = False
    """Whether on the GPU."""


class MeasuredBase(BaseModel):
    """What a worker takes before its first trial."""

    model_config = _STORED

    kind: Literal["base"] = "base"
    load_s: float = Field(ge=0)
    """Seconds from the start of the process until the base and the data are there."""
    memory_bytes: int = Field(ge=0)
    """Resident memory of the process then, or what is allocated on its GPU."""


class MeasuredTrial(BaseModel):
    """What a trial costs."""

    model_config = _STORED

    kind: Literal["trial"] = "trial"
    number: int = Field(ge=0)
    """Place among the trials of the request."""
    error: str = ""
    """Why it could not be measured; the rest says nothing then."""
    micro_batch_s: float = Field(default=0, ge=0)
    """Seconds of a step with one micro-batch of the trial's mean size."""
    cpu_s: float = Field(default=0, ge=0)
    """Seconds of CPU of such a step: on a busy machine they vary less."""
    spread: float = Field(default=0, ge=0)
    """Half of the distance of the quartiles of such steps, as a share of it."""
    evaluation_s: float = Field(default=0, ge=0)
    """Seconds of an evaluation on all rows of the trial's evaluations."""
    checkpoint_s: float = Field(default=0, ge=0)
    """Seconds of a checkpoint."""
    overhead_s: float = Field(default=0, ge=0)
    """Seconds of the rest: adapter in and out, engine, the first step's warm-up."""
    peak_bytes: int = Field(default=0, ge=0)
    """Most memory of the worker while it was trained, the largest micro-batch among its steps."""
    disk_bytes: int = Field(default=0, ge=0)
    """Of its adapter and its last checkpoint."""


class StepLog:
    """What a trial in training reports, of which the times of the steps are kept."""

    def __init__(self) -> None:
        self.steps_s: list[float] = []
        """Seconds of each step."""
        self.cpus_s: list[float] = []
        """Seconds of CPU of each step, evaluations and checkpoints left out."""
        self._cpu_s = time.process_time()

    def log_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Takes the times of a step."""
        del step
        self.steps_s.append(metrics["step_time_s"])
        now_s = time.process_time()
        self.cpus_s.append(now_s - self._cpu_s)
        self._cpu_s = now_s

    def course(self) -> Course:
        """Lets the trial go on."""
        return "on"

    def report_evaluation(
        self, step: int, metrics: Mapping[str, Estimate], *, final: bool
    ) -> Course:
        """Leaves the evaluation before it, and its checkpoint, out of the next step."""
        del step, metrics, final
        self._cpu_s = time.process_time()
        return "on"


def measure(
    request: Request, *, began_s: float | None = None
) -> Iterator[MeasuredBase | MeasuredTrial]:
    """Yields what the base takes, and then what each trial costs, all in this process.

    Args:
        request: what to measure.
        began_s: seconds of the epoch at which the loading began; the start of this process if None.

    Raises:
        BadInputError: model or data is not there, or cannot be read.
    """
    import torch

    from sweeper.evaluation.adapter import load_base_of

    torch.set_num_threads(request.threads)
    first = request.trials[0]
    base = load_base_of(first, device="cuda" if request.on_gpu else "cpu")
    yield MeasuredBase(
        load_s=max(0.0, time.time() - (began_s or process_start_s())),
        memory_bytes=_memory(on_gpu=request.on_gpu),
    )
    steps = _STEPS
    for number, trial in enumerate(request.trials):
        try:
            found, step_s = _measured(number, trial, base, steps=steps)
            if step_s < _SHORT_S and steps == _STEPS:
                steps = _SHORT_STEPS
                found, _ = _measured(number, trial, base, steps=steps)
        except Exception as error:  # noqa: BLE001 - the others are measured all the same
            found = MeasuredTrial(number=number, error=f"{type(error).__name__}: {error}"[:500])
        yield found


def _measured(
    number: int, trial: TrialSpec, base: FrozenBase, *, steps: int
) -> tuple[MeasuredTrial, float]:
    """Returns what a trial costs, and how long its steps took."""
    from sweeper.training.trial import train

    short = _shortened(trial, steps=steps)
    rows = _arranged(trial, base, seed=short.train.seed, steps=steps)
    data = base.data.with_train(trial.train.max_length, rows)
    # A replica has them from the evaluation of its base.
    data.questions(max_length=trial.train.max_length, count=short.train.eval_examples)
    on_gpu = base.device.type == "cuda"
    _forget_peak(on_gpu=on_gpu)
    log = StepLog()
    with tempfile.TemporaryDirectory(prefix="sweeper-forecast-") as place:
        found = train(short, replace(base, data=data), folder=Path(place), progress=log)
        disk = sum(path.stat().st_size for path in Path(place).rglob("*") if path.is_file())
    peak = peak_of(on_gpu=on_gpu)
    usual = log.steps_s[2:]
    low, step_s, high = statistics.quantiles(usual)
    rows_asked = _validation_rows(trial, base)
    asked = min(short.train.eval_examples, rows_asked)
    return (
        MeasuredTrial(
            number=number,
            micro_batch_s=step_s,
            cpu_s=statistics.median(log.cpus_s[2:]),
            spread=(high - low) / 2 / step_s,
            evaluation_s=found.evaluation_time_s * rows_asked / max(1, asked),
            checkpoint_s=found.checkpoint_time_s,
            overhead_s=found.overhead_time_s + max(0.0, log.steps_s[0] - step_s),
            peak_bytes=peak,
            disk_bytes=disk,
        ),
        step_s,
    )


def _shortened(trial: TrialSpec, *, steps: int) -> TrialSpec:
    """Returns a trial of some steps that cost what the trial's own do, and one evaluation."""
    is_short = steps == _SHORT_STEPS
    train = {
        "steps": steps,
        "learning_rate": _RATE,
        "evaluations": 1,
        # Its batches are arranged already.
        "bucketing": False,
        "callbacks": (),
        "patience": 0,
        "min_improvement": 0.0,
        "eval_examples": trial.train.eval_examples if is_short else _few_rows(trial),
    }
    changed = {
        "train": trial.train.model_copy(update=train),
        "engine": trial.engine.model_copy(update={"gradient_accumulation": 1}),
        "workers": 1,
        "objective": None,
    }
    return trial.model_copy(update=changed)


def _few_rows(trial: TrialSpec) -> int:
    return min(_ROWS, trial.train.eval_examples)


def _validation_rows(trial: TrialSpec, base: FrozenBase) -> int:
    return min(trial.train.eval_examples, len(base.data.splits.validation))


def _arranged(trial: TrialSpec, base: FrozenBase, *, seed: int, steps: int) -> TokenTable:
    """Returns rows of which the short trial's steps have a micro-batch each.

    The second has the largest one that the trial has itself, all others one of its mean size.
    """
    table = base.data.train_tokens(trial.train.max_length)
    batches = _micro_batches(trial, table)
    sizes = [_padded(batch, packed=trial.train.packing) for batch in batches]
    mean = statistics.fmean(sizes)
    usual = min(batches, key=lambda x: abs(_padded(x, packed=trial.train.packing) - mean))
    largest = batches[sizes.index(max(sizes))]
    wanted = [*usual, *largest, *(row for _ in range(steps - 2) for row in usual)]
    # The order of a trial is a permutation of its rows: they are put where it takes them.
    places = DataOrder(range(len(wanted)), seed=seed).batch(0, len(wanted))  # type: ignore[arg-type]
    rows: list[Tokens] = [wanted[0]] * len(wanted)
    for place, row in zip(places, wanted, strict=True):
        rows[place] = row  # type: ignore[call-overload]
    return TokenTable.of(Encoded(tuple(rows), (), (), ()))


def _micro_batches(trial: TrialSpec, table: TokenTable) -> list[list[Tokens]]:
    """Returns micro-batches of a trial, evenly over all of its steps."""
    train = trial.train
    order = DataOrder(table, seed=train.seed, bucket=train.batch_size if train.bucketing else 1)
    each = trial.engine.gradient_accumulation * trial.workers
    every = max(1, math.ceil(train.steps * each / _LOOKED_AT))
    found = []
    for step in range(0, train.steps, every):
        rows = order.batch(step, train.batch_size * each)
        found += [rows[at : at + train.batch_size] for at in range(0, len(rows), train.batch_size)]
    return found


def _padded(batch: Sequence[Tokens], *, packed: bool) -> int:
    lengths = [len(row.ids) for row in batch]
    return sum(lengths) if packed else len(lengths) * max(lengths)


def process_start_s() -> float:
    """Returns the seconds of the epoch at which this process was started."""
    import psutil

    return float(psutil.Process().create_time())


def _memory(*, on_gpu: bool) -> int:
    if on_gpu:
        import torch

        return int(torch.cuda.memory_reserved())
    import psutil

    return int(psutil.Process().memory_info().rss)


def _forget_peak(*, on_gpu: bool) -> None:
    """Begins the measurement of the peak anew; on a GPU without what earlier trials left free."""
    if on_gpu:
        import torch

        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        return
    # Linux then counts the peak of the resident memory from here on. Where that is forbidden, a
    # peak is that of all trials so far.
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_of(*, on_gpu: bool) -> int:
    """Returns the most memory of this process so far: resident, or of its GPU's allocator."""
    if on_gpu:
        import torch

        return int(torch.cuda.max_memory_reserved())
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
