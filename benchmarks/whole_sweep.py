"""A whole sweep, from the command to the prompt, against a search that is written by hand.

Both search the learning rate of LoRA on the embedded model and data, by TPE, with as many trials
of as many steps and evaluations; ``benchmarks/plain_search.py`` is the other one. Each is a command
of its own, timed from its start to its end, in turn. A sweep scores the base, writes checkpoints,
records, MLflow's view and a report page besides; the other one does none of it. A third command is
the same sweep by the default search.

Prediction, written before the first run: on 2 cores the first step comes within 10 s of the command
and the prompt within 1 s of the report. The sweep takes longer up to 2 trials, and less from 8 on.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks._bench import Column, document, machine, render, terminal_width, write
from sweeper.data.embedded.instructions import SplitName, generate
from sweeper.experiment.loading import load_sweep
from sweeper.tracking.sweep_folder import SweepFolder

ROOT = Path(__file__).parents[1]
PLAIN = Path(__file__).with_name("plain_search.py")
SPACE = """
name: plain
profile: embedded
methods: [{name: lora, rank: 8, alpha: 16}]
train: {learning_rate: {loguniform: [1.0e-4, 3.0e-2]}}
search: {trials: 8, asha: null}
final: {trials: 0}
"""
"""What both search."""
BY_DEFAULT = SPACE.replace(", asha: null", "")
"""The same, searched as a sweep does where nothing is said: each trial stops at a quarter of its
steps, and the best one goes on."""
STEPS = 60
TRIALS = (1, 4, 8, 16)
COLUMNS = (
    Column("trials", lambda row: str(row["trials"])),
    Column("sweep, s", lambda row: f"{row['sweep_s']:.1f}"),
    Column("by hand, s", lambda row: f"{row['plain_s']:.1f}"),
    Column("ratio", lambda row: f"{row['ratio']:.2f}"),
    Column("by default, s", lambda row: f"{row['default_s']:.1f}"),
    Column("first\nstep, s", lambda row: f"{row['first_step_s']:.1f}"),
    Column("report to\nprompt, s", lambda row: f"{row['prompt_s']:.2f}"),
    Column("ratio of\na step", lambda row: f"{row['step_ratio']:.2f}"),
)


def prepare(folder: Path) -> None:
    """Writes the embedded model and data as files that whoever has no sweeper could read."""
    space = folder / "space.yaml"
    space.write_text(SPACE, encoding="utf-8")
    (folder / "default.yaml").write_text(BY_DEFAULT, encoding="utf-8")
    spec = load_sweep(space).spec
    loaded = spec.model.load("fp32")
    loaded.model.save_pretrained(folder / "model")
    loaded.tokenizer.save_pretrained(folder / "model")
    splits: tuple[tuple[SplitName, int], ...] = (("train", 2000), ("validation", 64))
    for split, rows in splits:
        lines = [
            json.dumps({"prompt": row.prompt, "answer": row.answer})
            for row in generate(split, rows=rows, seed=0)
        ]
        (folder / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")


def time_plain(folder: Path, *, trials: int, steps: int) -> dict[str, Any]:
    """Returns the seconds of the search by hand, and of its steps with their evaluations."""
    began_s = time.perf_counter()
    words = [sys.executable, str(PLAIN), str(folder), f"--trials={trials}", f"--steps={steps}"]
    text = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    wall_time_s = time.perf_counter() - began_s
    found: dict[str, Any] = json.loads(text.rpartition("RESULT ")[2])
    return {"wall_time_s": wall_time_s, **found}


def time_sweep(
    folder: Path, *, trials: int, steps: int, space: str = "space.yaml"
) -> dict[str, Any]:
    """Returns the seconds of a sweep, until its first step, and from its report to the prompt."""
    with tempfile.TemporaryDirectory(dir=folder) as home:
        settings = [f"search.trials={trials}", f"train.steps={steps}"]
        options = itertools.chain.from_iterable(("--set", text) for text in settings)
        file = str(folder / space)
        words = [sys.executable, "-m", "sweeper", "run", file, "--home", home, *options]
        began_s, began_at_s = time.perf_counter(), time.time()
        with subprocess.Popen(
            [*words, "--name", "whole"], cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            reported_s = _reported_s(process.stdout)
            code = process.wait()
        ended_s = time.perf_counter()
        if code:
            raise RuntimeError(f"the sweep ended with {code}")
        whole = SweepFolder(Path(home) / "whole")
        records = whole.trials()
        first_at_s = min(_first_step_s(trial.path) for trial in whole.trial_folders())
    return {
        "wall_time_s": ended_s - began_s,
        "first_step_s": first_at_s - began_at_s,
        "prompt_s": ended_s - reported_s,
        "train_time_s": [record.train_time_s for record in records],
        "eval_loss": [x.metrics["eval_loss"] for x in records if x.status == "complete"],
    }


def _first_step_s(folder: Path) -> float:
    """Returns when a trial reported its first step, as Unix time."""
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    found = (json.loads(line) for line in lines)
    return min(float(x["unix_time_s"]) for x in found if x.get("step") == 1)


def _reported_s(lines: Iterable[str]) -> float:
    """Returns when the report's last line came; the clock of ``perf_counter``."""
    reported_s = time.perf_counter()
    for line in lines:
        if not line.startswith("Report page"):
            reported_s = time.perf_counter()
    return reported_s


def row_of(trials: int, rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns a row of the table: medians over rounds, ratios within a round.

    Args:
        trials: of each search.
        rounds: each has a ``sweep``, a ``plain`` and a ``default``.
    """

    def median(figure: Callable[[Mapping[str, Any]], float]) -> float:
        return statistics.median(figure(found) for found in rounds)

    return {
        "trials": trials,
        "rounds": len(rounds),
        "sweep_s": median(lambda x: x["sweep"]["wall_time_s"]),
        "plain_s": median(lambda x: x["plain"]["wall_time_s"]),
        "ratio": median(lambda x: x["sweep"]["wall_time_s"] / x["plain"]["wall_time_s"]),
        "default_s": median(lambda x: x["default"]["wall_time_s"]),
        "best_loss": {
            name: median(lambda x, name=name: min(x[name]["eval_loss"]))  # type: ignore[misc]
            for name in ("sweep", "plain", "default")
        },
        "first_step_s": median(lambda x: x["sweep"]["first_step_s"]),
        "prompt_s": median(lambda x: x["sweep"]["prompt_s"]),
        # One worker has a core, and a trial by hand has both.
        "step_ratio": median(
            lambda x: (
                statistics.median(x["sweep"]["train_time_s"])
                / statistics.median(x["plain"]["train_time_s"])
            )
        ),
    }


def main() -> None:
    """Runs the bench, prints its table and writes it to ``benchmarks/results/whole_sweep.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1 trial of 4 steps: a smoke run")
    parser.add_argument("--rounds", type=int, default=3, help="of each number of trials [3]")
    given = parser.parse_args()
    sizes, steps = ((1,), 4) if given.quick else (TRIALS, STEPS)
    found, before = [], machine()
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        prepare(folder)
        for trials in sizes:
            rounds = []
            for _ in range(1 if given.quick else given.rounds):
                plain = time_plain(folder, trials=trials, steps=steps)
                sweep = time_sweep(folder, trials=trials, steps=steps)
                default = time_sweep(folder, trials=trials, steps=steps, space="default.yaml")
                rounds.append({"plain": plain, "sweep": sweep, "default": default})
            found.append(row_of(trials, rounds))
            print(render(COLUMNS, found[-1:], width=terminal_width()), flush=True)
    result = document(
        "whole_sweep",
        rows=found,
        seeds={"search": 0},
        settings={"steps": steps, "rounds": given.rounds},
        machine=before,
    )
    write(result, is_whole=not given.quick)


if __name__ == "__main__":
    main()
