"""Sweeps that have been trained, packed into a table of learning curves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.curves.table import About, CurveTable, halved
from sweeper._text import shorten
from sweeper.errors import BadInputError
from sweeper.experiment.trial import IDENTITY_VERSION, TrialSpec
from sweeper.models import FolderModelSpec
from sweeper.tracking.record import TrialRecord
from sweeper.tracking.row_scores import (
    FINAL_ROWS,
    VALIDATION_ROWS,
    RowScores,
    read_row_scores,
    rows_at,
)
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import TrialFolder
from sweeper.training.schedule import evaluation_steps

__all__ = ["Packed", "pack"]

METRIC = "eval_loss"


@dataclass(frozen=True)
class Packed:
    """A table, and what is not in it."""

    table: CurveTable
    left_out: tuple[str, ...]
    """Trials without a curve, a sentence each: still to be trained, or failed for another reason
    than a divergence."""


@dataclass(frozen=True)
class _Curve:
    """One trial."""

    spec: TrialSpec
    rank: int
    record: TrialRecord
    validation: tuple[RowScores, ...]
    test: RowScores | None


def pack(folders: Sequence[Path], *, model: str | None = None) -> Packed:
    """Returns the table of the trials of some sweeps.

    Args:
        folders: of sweeps over one model and data, each with ``evaluation.keep_rows: every`` and a
            budget that matches LoRA, which names the size.
        model: what the table calls a model that lies in a folder; else it is the folder's name.

    Raises:
        BadInputError: a sweep is not of that kind, sweeps do not go together, or no trial
            has ended.
        DamagedFileError: a file of a sweep is damaged.
    """
    sweeps = [SweepFolder(path) for path in folders]
    curves: list[_Curve] = []
    left_out: list[str] = []
    for sweep in sweeps:
        # In the order of the design; folders lie in that of their identities.
        for trial in sorted(sweep.trial_folders(), key=lambda trial: trial.read().number):
            found = _curve(trial, rank=_rank(sweep))
            if isinstance(found, str):
                left_out.append(f"{sweep.name}: {found}")
            elif found is not None:
                curves.append(found)
    if not curves:
        raise BadInputError(
            f"curves: got {', '.join(sweep.name for sweep in sweeps) or 'no sweep'}, in which no "
            "trial has ended; a table needs one at least; run the sweeps first"
        )
    return Packed(_table(curves, sweeps, model), tuple(left_out))


def _rank(sweep: SweepFolder) -> int:
    """Returns the size of a sweep's trials."""
    budget, evaluation = (sweep.document.get(key) or {} for key in ("budget", "evaluation"))
    if not isinstance(budget.get("rank"), int) or evaluation.get("keep_rows") != "every":
        raise BadInputError(
            f"sweep {sweep.name}: has budget {budget} and evaluation {evaluation}; a table needs "
            "budget.rank, by which sizes are named, and evaluation.keep_rows=every; set both and "
            "run it again"
        )
    return int(budget["rank"])


def _curve(trial: TrialFolder, *, rank: int) -> _Curve | str | None:
    """Returns the curve of a trial; why it has none; or None where another one took its place."""
    record = trial.read()
    is_diverged = record.error is not None and record.error.type == "DivergedError"
    if record.status == "superseded":
        return None
    if record.status != "complete" and not is_diverged:
        reason = f": {record.error.message[:200]}" if record.error else ""
        return f"trial {record.id} ({record.method}) is {record.status}{reason}"
    spec = trial.trial_spec()
    rows = [read_row_scores(trial.path / rows_at(step)) for step in evaluation_steps(spec.train)]
    kept = tuple(found for found in rows if found is not None)
    test = read_row_scores(trial.path / FINAL_ROWS)
    if record.status == "complete" and (len(kept) < len(rows) or test is None):
        what = (
            "test rows" if test is None else f"{len(rows) - len(kept)} of {len(rows)} evaluations"
        )
        return f"trial {record.id} ({record.method}) is complete, but has lost its {what}"
    return _Curve(spec, rank, record, kept, test)


def _table(
    curves: Sequence[_Curve], sweeps: Sequence[SweepFolder], model: str | None
) -> CurveTable:
    first = curves[0]
    steps = evaluation_steps(first.spec.train)
    base = [_of_base(sweeps, name) for name in (VALIDATION_ROWS, FINAL_ROWS)]
    # In the order of the file, by which no method is put first for its name.
    methods = tuple(dict.fromkeys(x.spec.method.label for x in curves))
    ranks = tuple(sorted({x.rank for x in curves}))
    rates = tuple(sorted({x.spec.train.learning_rate for x in curves}))
    seeds = tuple(sorted({x.spec.train.seed for x in curves}))
    settings = _one("settings", [_settings(x.spec, model) for x in curves])
    about = About(
        metric=METRIC,
        methods=methods,
        ranks=ranks,
        rates=rates,
        seeds=seeds,
        evaluation_steps=steps,
        validation_rows=_fingerprint([*_validations(curves), base[0]], "validation"),
        test_rows=_fingerprint([*(x.test for x in curves if x.test), base[1]], "test"),
        settings=settings,
        architecture=_architecture(first.spec),
        sweeps=tuple(_said(sweep) for sweep in sweeps),
        versions=_versions(sweeps),
    )
    places = [
        (
            methods.index(x.spec.method.label),
            ranks.index(x.rank),
            rates.index(x.spec.train.learning_rate),
            seeds.index(x.spec.train.seed),
        )
        for x in curves
    ]
    _require_distinct(curves, places)
    return _filled(about, curves, np.array(places, np.int64), base=base)


def _filled(
    about: About,
    curves: Sequence[_Curve],
    places: NDArray[np.int64],
    *,
    base: Sequence[RowScores],
) -> CurveTable:
    columns = [_values(found) for found in base]
    shape = (len(curves), len(about.evaluation_steps), len(columns[0]))
    validation = np.full(shape, np.nan)
    test = np.full((len(curves), len(columns[1])), np.nan)
    for number, curve in enumerate(curves):
        for place, found in enumerate(curve.validation):
            validation[number, place] = _values(found)
        if curve.test is not None:
            test[number] = _values(curve.test)
    records = [curve.record for curve in curves]
    return CurveTable(
        about=about,
        method=places[:, 0],
        size=places[:, 1],
        rate=places[:, 2],
        seed=places[:, 3],
        steps=np.array([record.steps for record in records], np.int64),
        trainable=np.array([record.trainable for record in records], np.int64),
        step_time_s=np.array([x.train_time_s / max(1, x.steps) for x in records], np.float32),
        identity=np.array([record.id for record in records], np.str_),
        validation=halved(validation),
        test=halved(test),
        base_validation=halved(columns[0]),
        base_test=halved(columns[1]),
    )


def _validations(curves: Iterable[_Curve]) -> list[RowScores]:
    return [found for curve in curves for found in curve.validation]


def _values(found: RowScores) -> NDArray[np.float64]:
    """Returns what each row contributes to the loss, which is a mean over all rows."""
    rows, values = found.metrics[METRIC]
    assert np.array_equal(rows, np.arange(len(found.strata)))
    return values


def _of_base(sweeps: Sequence[SweepFolder], name: str) -> RowScores:
    """Returns the rows of the frozen base, of the first sweep that has them."""
    for sweep in sweeps:
        found = read_row_scores(sweep.path / name)
        if found is not None:
            return found
    raise BadInputError(
        f"curves: no sweep has a {name} of the frozen base; a table says what the base loses; run "
        "a sweep to its end, evaluation after the search included"
    )


def _fingerprint(found: Sequence[RowScores], split: str) -> str:
    return str(_one(f"{split} rows", [rows.fingerprint for rows in found]))


def _settings(spec: TrialSpec, model: str | None) -> dict[str, Any]:
    """Returns what all trials of a table share."""
    found = spec.model_dump(mode="json", exclude={"method"})
    train = {k: v for k, v in found["train"].items() if k not in ("seed", "learning_rate")}
    if isinstance(spec.model, FolderModelSpec):
        # Where it lay is of no use to others.
        found["model"]["path"] = model or Path(spec.model.path).name
    return {**found, "train": train, "identity_version": IDENTITY_VERSION}


def _architecture(spec: TrialSpec) -> dict[str, Any] | None:
    """Returns the configuration of a model that lies in a folder; None of any other."""
    if not isinstance(spec.model, FolderModelSpec):
        return None
    # Names with a bar in front are transformers' own notes, such as where a model lay.
    return {name: x for name, x in spec.model.config().items() if not name.startswith("_")}


def _versions(sweeps: Sequence[SweepFolder]) -> dict[str, str]:
    return dict(_one("versions", [sweep.about().versions for sweep in sweeps]))


def _one(name: str, values: Sequence[Any]) -> Any:  # noqa: ANN401 - of any type
    """Returns the one value that all are; BadInputError where they are not."""
    first = values[0]
    other = next((value for value in values if value != first), first)
    if other != first:
        raise BadInputError(
            f"curves: the {name} of two trials are {shorten(first)} and {shorten(other)}; curves "
            "of one table share them, or they could not be compared; pack sweeps of one version, "
            "model and data"
        )
    return first


def _said(sweep: SweepFolder) -> dict[str, Any]:
    about = sweep.about()
    kept = about.model_dump(mode="json", include={"name", "sweep_id", "created_at", "machine"})
    return {**kept, "commit": None if about.git is None else about.git.model_dump(mode="json")}


def _require_distinct(curves: Sequence[_Curve], places: Sequence[tuple[int, ...]]) -> None:
    twice = [place for place, count in Counter(places).items() if count > 1]
    if twice:
        names = [x.record.id for x, place in zip(curves, places, strict=True) if place == twice[0]]
        raise BadInputError(
            f"curves: trials {', '.join(names)} are of one method, size, rate and seed; a table "
            "has each once; name each sweep once, and methods of one name only once"
        )
