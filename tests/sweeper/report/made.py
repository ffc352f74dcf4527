"""Folders of sweeps as a sweep leaves them, with rows and curves, without training anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from sweeper.experiment.documents.tree import Json
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.sweep import Sweep
from sweeper.search import open_study, params_of
from sweeper.search.driving.attributes import TRIAL_ID
from sweeper.search.driving.drawing import draw
from sweeper.tracking.databases import StudyPlace
from sweeper.tracking.final_result import FinalResult, write_final
from sweeper.tracking.row_scores import VALIDATION_ROWS, write_row_scores
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import TrialFolder
from tests.places import SPACES
from tests.sweeper.rows import row_scores

EMBEDDED = str(SPACES / "profiles" / "embedded.yaml")
OBJECTIVE = "objective: {metric: accuracy, mode: max}"

PAIRED = f"""
name: pair
methods: [{{name: lora, rank: 4}}, {{name: mosa, rank: 4}}, {{name: dora, rank: 4}}]
design: {{kind: paired, rates: {{low: 1e-4, high: 3e-2, count: 8}}, seeds: 2}}
{OBJECTIVE}
"""
ONE_FACTOR = f"""
name: groups
methods: [{{name: masa, rank: 8, experts: 5, group_size: 2}}]
design: {{kind: one_factor, factors: {{method: {{group_size: [1, 2, 4]}}}}, seeds: 5}}
{OBJECTIVE}
"""
SEARCH = f"""
name: hunt
methods:
  - {{name: lora, rank: {{choice: [2, 4, 8, 16]}}}}
  - {{name: mosa, rank: {{choice: [4, 8]}}}}
train: {{learning_rate: {{loguniform: [1e-4, 1e-2]}}}}
search: {{trials: 30}}
{OBJECTIVE}
"""


def sweep_of(folder: Path, text: str, *overrides: str) -> Sweep:
    path = folder / "space.yaml"
    path.write_text(text)
    return load_sweep(path, profile=EMBEDDED, overrides=overrides)


class Made:
    """A sweep whose trials end with scores of a known size."""

    def __init__(self, home: Path, name: str, sweep: Sweep, *, rows: int = 400) -> None:
        self.sweep = sweep
        self.folder = SweepFolder.create(home, name, document=sweep.document)
        self._rng = np.random.default_rng(7)
        self._hard = {split: self._rng.random(rows) for split in ("validation", "test")}
        self._tasks = ["boolq" if i % 2 else "piqa" for i in range(rows)]

    def trial(self, number: int, point: dict, quality: float, *, final: bool = True) -> TrialFolder:
        trial = self.sweep.space.trial(point)
        folder = self.folder.add_trial(
            f"{number:012x}",
            spec=trial.model_dump(mode="json"),
            number=number,
            method=trial.method.name,
            params=params_of(trial, self.sweep.space.method(point["method"])),
            steps_total=trial.train.steps,
        )
        folder.begin(trainable=int(5_000 * (1 + 3 * quality)), total=200_000)
        noise = self._rng.normal(0, 0.01)
        right = {
            split: ((hard + self._rng.normal(0, 0.03, hard.size)) < quality + noise).astype(float)
            for split, hard in self._hard.items()
        }
        accuracy = float(right["validation"].mean())
        for step in range(10, 121, 10):
            folder.append(
                step, {"accuracy": accuracy * (1 - 0.7 ** (step / 12)), "accuracy_se": 0.02}
            )
        folder.append(120, {"accuracy": accuracy, "accuracy_se": 0.02})
        folder.complete(train_time_s=float(2 + 4 * self._rng.random()))
        rows = row_scores(
            {"accuracy": right["validation"].tolist()}, split="validation", tasks=self._tasks
        )
        write_row_scores(folder.path / VALIDATION_ROWS, rows)
        if final:
            self._final(folder.path, right["test"])
        return folder

    def _final(self, path: Path, right: np.ndarray) -> None:
        tasks = np.array(self._tasks)
        by_task = {
            f"{task}/accuracy": float(right[tasks == task].mean()) for task in ("boolq", "piqa")
        }
        write_final(
            path,
            FinalResult(
                split="test",
                rows=len(right),
                rows_in_split=len(right),
                metrics={"accuracy": float(right.mean()), "accuracy_se": 0.02, **by_task},
                protocol={"task_rows": {"boolq": len(right) // 2, "piqa": len(right) // 2}},
                data_fingerprint="d1" * 8,
                wall_time_s=1.5,
            ),
            row_scores({"accuracy": right.tolist()}, tasks=self._tasks),
        )

    def base(self, quality: float) -> None:
        right = (self._hard["test"] < quality).astype(float)
        self._final(self.folder.path, right)
        self.folder.note_base({"accuracy": quality, "accuracy_se": 0.02})


def designed(
    home: Path, name: str, sweep: Sweep, quality: Callable[[str, dict], float], *, fail: int = -1
) -> SweepFolder:
    """A design whose configurations score what a function of name and train says."""
    made = Made(home, name, sweep)
    for number, space in enumerate(sweep.space.methods):
        point = {"method": space.name}
        assert space.designed is not None
        trial = sweep.space.trial(point)
        level = quality(space.designed.configuration, trial.train.model_dump())
        if number == fail:
            folder = made.folder.add_trial(
                f"{number:012x}",
                spec=trial.model_dump(mode="json"),
                number=number,
                method=trial.method.name,
                params=params_of(trial, space),
            )
            folder.begin()
            folder.fail("DivergedError", "the loss is nan at step 40")
        else:
            made.trial(number, point, level)
    made.base(0.3)
    made.folder.mark("complete")
    return made.folder


def tuned(home: Path, tmp_path: Path) -> SweepFolder:
    """Three methods at eight rates with two seeds: 48 trials, one of which failed."""
    tops = {"lora": (0.62, 2e-3), "mosa": (0.70, 4e-3), "dora": (0.55, 1.2e-3)}

    def quality(name: str, train: dict) -> float:
        top, rate = next(x for method, x in tops.items() if name.startswith(method))
        return top - 0.035 * float(np.log(train["learning_rate"] / rate)) ** 2

    return designed(home, "pair-1", sweep_of(tmp_path, PAIRED), quality, fail=20)


def one_factor(home: Path, tmp_path: Path) -> SweepFolder:
    """A baseline, two changes and a control arm, five seeds each."""
    levels = {"group_size=1": 0.66, "group_size=2": 0.67, "group_size=4": 0.55}
    sweep = sweep_of(tmp_path, ONE_FACTOR)
    return designed(home, "groups-1", sweep, lambda name, _: levels.get(name, 0.5))


def searched(home: Path, tmp_path: Path, *, trials: int = 30) -> SweepFolder:
    """A search in which the learning rate alone matters, with its study."""
    sweep = sweep_of(tmp_path, SEARCH, f"search.trials={trials}")
    made = Made(home, "hunt-1", sweep, rows=200)
    study = open_study(
        StudyPlace("hunt-1", made.folder.path / "optuna.db"),
        objective=sweep.spec.objective,
        space=sweep.space,
        search=sweep.spec.search,
    )
    for number in range(trials):
        suggested, point = draw(study, sweep.space, sweep.spec.search, is_random=True)
        rate = sweep.space.trial(point).train.learning_rate
        quality = 0.7 - 0.05 * float(np.log(rate / 1.5e-3)) ** 2
        folder = made.trial(number, dict(point), quality, final=False)
        suggested.set_user_attr(TRIAL_ID, folder.id)
        study.tell(suggested, folder.read().metrics["accuracy"])
    best = max(made.folder.trials(), key=lambda record: record.metrics["accuracy"])
    made._final(made.folder.trial(best.id).path, (made._hard["test"] < 0.68).astype(float))
    made.base(0.3)
    made.folder.mark("complete")
    return made.folder


def stopped_at_share(home: Path, tmp_path: Path, *, trials: int = 6) -> SweepFolder:
    """A search that compared its trials after 3 of 12 evaluations, and let the best go on."""
    asked = (f"search.trials={trials}", "search.stop=share", "train.evaluations=12")
    sweep = sweep_of(tmp_path, SEARCH, *asked)
    made = Made(home, "share-1", sweep, rows=200)
    rng = np.random.default_rng(3)
    for number in range(trials):
        rate = float(10 ** rng.uniform(-4, -2))
        point: dict[str, Json] = {"method": "lora", "lora.rank": 4, "train.learning_rate": rate}
        quality = 0.7 - 0.1 * number
        if number == 0:
            made.trial(number, point, quality)
            continue
        trial = sweep.space.trial(point)
        folder = made.folder.add_trial(
            f"{number:012x}",
            spec=trial.model_dump(mode="json"),
            number=number,
            method="lora",
            params=params_of(trial, sweep.space.method("lora")),
            steps_total=trial.train.steps,
        )
        folder.begin(trainable=5_000, total=200_000)
        for step in (10, 20, 30):
            folder.append(step, {"accuracy": quality * step / 60, "accuracy_se": 0.02})
        folder.prune()
    made.folder.mark("complete")
    return made.folder
