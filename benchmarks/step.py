"""Training steps of every method against LoRA's on the CPU: Table 11 of the MoSA paper, and more.

A step is forward, backward and AdamW, in float32, of LLaMA models with random weights and a
vocabulary of 1024, so that the linear layers are what is timed:

* ``smollm2``: 4 of SmolLM2-135M's 30 layers (576/1536, 9/3 heads), 4 x 512 tokens;
* ``llama3``: 1 of LLaMA3-8B's 32 layers (4096/14336, 32/8 heads), 2 x 512 tokens.

The first layer gets a gradient of its input, too, as all layers but one of the real model do. All
methods are on q, k, v, up and down, in the size that comes nearest to LoRA of rank 32 (the
paper's); ``masa-collapsed`` and ``masa-plain`` are at LoRA's rank. Steps of some methods and those
of LoRA take turns in each round, and a ratio is the median over rounds, with quartiles. Beside it
stands the ratio of operations: those of all matrix products in a real step, from torch's counter.
That is the floor of the ratio where products run at the same speed. Peak memory is exact: all
tensors there are between steps, and the most that a step allocates besides.

Prediction, written before the first run: MoSA takes at most 1.1 times its floor with Γ stored and
1.2 times with Γ computed, on both shapes, since what it does besides products is a pass over
each weight and its gradient; MoSA by autograd twice as long as ours on ``smollm2`` and longer on
``llama3``, with four times the memory besides the base; collapsed MASA is within 3 % of LoRA's time
and 1 % of its memory, plain MASA above that by the optimiser's share of 5 A. Slowest of all are
prompt and P-tuning, for the tokens that they add at this budget.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import torch

from benchmarks._bench import (
    RESULTS,
    Ratio,
    alternate,
    document,
    machine,
    terminal_width,
    write,
)
from benchmarks._contenders import (
    CONTENDERS,
    RANK,
    REFERENCE,
    TARGETS,
    Contender,
    Step,
    budget,
    build_base,
)
from benchmarks._count import count_step, linear_flops, live, peak_bytes
from benchmarks._step_report import report
from sweeper._third_party import ignore_known_warnings
from sweeper.models.shapes import architecture, shape_of
from sweeper_adapters.methods import Method, ModelShape

VOCABULARY = 1024
SEEDS = {"model": 0, "batch": 1, "adapter": 2}
# Methods that are in memory at once, besides LoRA.
AT_ONCE = 4
# Ratios that are wanted besides those to LoRA, from rounds that both were in.
PAIRS = {"mosa-computed": "mosa-stored", "mosa-autograd": "mosa-stored"}


@dataclass(frozen=True)
class Setting:
    """A model and how long it is trained on."""

    name: str
    architecture: str
    layers: int
    batch_size: int
    tokens: int
    rounds: int
    headline_rounds: int
    smaller: Mapping[str, int] = field(default_factory=dict)
    """Sizes in the place of the architecture's own."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the base; an adapter has the same."""

    def config(self) -> dict[str, Any]:
        """Returns the content of its config.json."""
        sizes = {"num_hidden_layers": self.layers, "vocab_size": VOCABULARY, **self.smaller}
        return {**architecture(self.architecture), **sizes}


FULL = (
    Setting("smollm2", "smollm2-135m", 4, 4, 512, rounds=5, headline_rounds=9),
    Setting("llama3", "llama3-8b", 1, 2, 512, rounds=3, headline_rounds=5),
)
QUICK = (Setting("smollm2", "smollm2-135m", 2, 2, 32, rounds=1, headline_rounds=2),)


@dataclass(frozen=True)
class Cost:
    """What a step costs besides time."""

    flops: int
    attention_flops: int
    peak_memory_bytes: int
    """Of all: base, adapter, optimiser, index, and what a step needs."""
    index_bytes: int


class Bench:
    """The runs on one model."""

    def __init__(self, setting: Setting, *, device: str = "cpu") -> None:
        """Builds the base, and LoRA's step.

        Args:
            setting: which model.
            device: ``cpu`` or ``cuda``.
        """
        self.setting = setting
        self._device = device
        self._shape: ModelShape = shape_of(setting.config())
        torch.manual_seed(SEEDS["model"])
        dtype = getattr(torch, setting.dtype)
        self._base = build_base(setting.config(), device=device, dtype=dtype)
        self._base_bytes = sum(p.untyped_storage().nbytes() for p in set(self._base.parameters()))
        generator = torch.Generator().manual_seed(SEEDS["batch"])
        self._batch = torch.randint(
            VOCABULARY, (setting.batch_size, setting.tokens), generator=generator
        ).to(device)
        self._times_s: list[float] = []
        contender = Contender(REFERENCE)
        spec = contender.spec(self._shape)
        self._lora, self._cost = self._build(contender, spec)

    def run(self, contenders: Sequence[Contender]) -> Iterator[dict[str, Any]]:
        """Yields LoRA's row, whose times are those of all rounds, and then the others'."""
        rows = [row for chunk in _chunks(contenders) for row in self._run_chunk(chunk)]
        spec = Contender(REFERENCE).spec(self._shape)
        yield {
            **self._sizes(Contender(REFERENCE), spec),
            **self._figures(self._cost, self._times_s, self._times_s, closed="lora"),
        }
        yield from rows

    def _run_chunk(self, contenders: Sequence[Contender]) -> list[dict[str, Any]]:
        """Returns the rows of methods that take turns with LoRA."""
        rows: list[dict[str, Any]] = []
        ready: dict[str, tuple[_Guarded, Cost]] = {}
        for contender in contenders:
            print(f"{self.setting.name}: {contender.name}", file=sys.stderr)
            row: dict[str, Any] = {"shape": self.setting.name, "name": contender.name}
            rows.append(row)
            try:
                spec = contender.spec(self._shape)
                row.update(self._sizes(contender, spec))
                step, cost = self._build(contender, spec)
                ready[contender.name] = _Guarded(step), cost
            except Exception as error:  # noqa: BLE001 - a method that fails is a result
                row.update(status="failed", error=_told(error))
        is_headline = all(contender.is_headline for contender in contenders)
        rounds = self.setting.headline_rounds if is_headline else self.setting.rounds
        rivals: dict[str, Callable[[], object]] = {REFERENCE: self._lora}
        rivals |= {name: guarded for name, (guarded, _) in ready.items()}
        # Each has taken two steps already, in which it was counted.
        times_s = alternate(rivals, rounds=rounds if ready else 0, warmups=0)
        self._times_s += times_s[REFERENCE]
        for row in rows:
            if row["name"] in ready:
                guarded, cost = ready[row["name"]]
                if guarded.error is not None:
                    row.update(status="failed", error=guarded.error)
                    continue
                closed = "mosa" if row["name"].startswith("mosa") else None
                row.update(
                    self._figures(cost, times_s[row["name"]], times_s[REFERENCE], closed=closed)
                )
                other = PAIRS.get(row["name"])
                if other in ready and ready[other][0].error is None:
                    ratio = Ratio.of(times_s[row["name"]], times_s[other])
                    row["time_ratio_to"] = {other: asdict(ratio)}
        return rows

    def _build(self, contender: Contender, spec: Method) -> tuple[Step, Cost]:
        """Returns a method's step, and what it costs, from two steps that are not timed."""
        before = live(self._device)
        step = Step(contender, spec, self._base, self._batch, seed=SEEDS["adapter"])
        counted = count_step(step)
        if counted.uncounted:
            raise RuntimeError(
                f"the operations of {', '.join(counted.uncounted)} are not counted; each operator "
                "that makes matrix products needs a formula; register one with "
                "torch.utils.flop_counter.register_flop_formula"
            )
        added = live(self._device) - before
        # A method that changes the base has a copy of its own, which is among what is new.
        shared = 0 if spec.changes_base else self._base_bytes
        cost = Cost(
            flops=counted.flops,
            attention_flops=counted.attention_flops,
            peak_memory_bytes=shared + added.size_bytes + peak_bytes(step, device=self._device),
            index_bytes=added.index_bytes,
        )
        return step, cost

    def _sizes(self, contender: Contender, spec: Method) -> dict[str, Any]:
        parameters = spec.count(self._shape)
        wanted = budget().parameters(spec, self._shape)
        return {
            "shape": self.setting.name,
            "name": contender.name,
            "method": spec.name,
            "spec": spec.model_dump(mode="json"),
            "sizes": dict(spec.sizes()),
            "parameters": parameters,
            "budget": wanted if contender.is_matched else None,
            "miss_percent": 100 * (parameters - wanted) / wanted if contender.is_matched else None,
            "note": contender.note,
        }

    def _figures(
        self, cost: Cost, times_s: list[float], lora_s: list[float], *, closed: str | None
    ) -> dict[str, Any]:
        step_time_s, ratio = statistics.median(times_s), Ratio.of(times_s, lora_s)
        flop_ratio = cost.flops / self._cost.flops
        return {
            "status": "ok",
            "step_time_s": step_time_s,
            "tokens_per_s": self._batch.numel() / step_time_s,
            "time_ratio": asdict(ratio),
            "flops": cost.flops,
            "flop_ratio": flop_ratio,
            "closed_flop_ratio": None if closed is None else self._closed(closed),
            "time_to_floor": ratio.median / flop_ratio,
            "peak_memory_bytes": cost.peak_memory_bytes,
            "peak_besides_base_bytes": cost.peak_memory_bytes - self._base_bytes,
            "memory_ratio": cost.peak_memory_bytes / self._cost.peak_memory_bytes,
            "index_bytes": cost.index_bytes,
        }

    def _closed(self, method: str) -> float:
        """Returns the ratio of operations to LoRA's by formula, attention included."""
        found, lora = (
            self._cost.attention_flops
            + linear_flops(
                self._shape,
                tokens=self._batch.numel(),
                adapted=TARGETS,
                method=name,
                rank=RANK,
                head=VOCABULARY,
            )
            for name in (method, "lora")
        )
        return found / lora


class _Guarded:
    """A step that is not tried again once it has failed."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self.error: str | None = None

    def __call__(self) -> None:
        if self.error is None:
            try:
                self._step()
            except Exception as error:  # noqa: BLE001 - a method that fails is a result
                self.error = _told(error)


def main() -> int:
    """Runs the bench, prints and writes its figures; returns 1 if a method failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="short steps of smollm2: a smoke run")
    names = [contender.name for contender in CONTENDERS]
    parser.add_argument("--method", choices=names, help="one method against LoRA")
    parser.add_argument("--shape", choices=[setting.name for setting in FULL], help="one model")
    parser.add_argument("--rounds", type=int, help="of every method, instead of the shape's own")
    arguments = parser.parse_args()
    contenders = [x for x in CONTENDERS if arguments.method in (None, x.name)]
    settings = _settings(arguments)
    before = machine()
    rows: list[dict[str, Any]] = []
    ignore_known_warnings()
    # What is there stays, and looking through it again and again would take most of the time.
    gc.freeze()
    for setting in settings:
        rows += Bench(setting).run(contenders)
    described = {setting.name: asdict(setting) for setting in settings}
    result = document(
        "step",
        rows=rows,
        seeds=SEEDS,
        settings={"rank": RANK, "targets": TARGETS, "vocabulary": VOCABULARY, **described},
        machine=before,
    )
    print(report(rows, width=terminal_width()))
    path = write(result, is_whole=settings == FULL and arguments.method is None)
    print(f"figures: {path.relative_to(RESULTS.parent.parent)}")
    return int(any(row["status"] == "failed" for row in rows))


def _settings(arguments: argparse.Namespace) -> tuple[Setting, ...]:
    chosen: tuple[Setting, ...] = QUICK if arguments.quick else FULL
    if arguments.shape is not None:
        chosen = tuple(setting for setting in chosen if setting.name == arguments.shape)
    if arguments.rounds is not None:
        rounds = {"rounds": arguments.rounds, "headline_rounds": arguments.rounds}
        chosen = tuple(replace(setting, **rounds) for setting in chosen)
    return chosen


def _chunks(contenders: Sequence[Contender]) -> Iterator[Sequence[Contender]]:
    """Yields those that are in memory at once: the headline first, since a pair is of one chunk."""
    headline = [contender for contender in contenders if contender.is_headline]
    rest = [contender for contender in contenders if not contender.is_headline]
    if headline:
        yield headline
    for start in range(0, len(rest), AT_ONCE):
        yield rest[start : start + AT_ONCE]


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    sys.exit(main())
