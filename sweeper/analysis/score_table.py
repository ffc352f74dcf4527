"""A sweep's folder as a table of scores: configurations, their seeds, and the rows they share."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sweeper._text import count, guess, listed
from sweeper.analysis.configurations import configuration_names, configuration_of
from sweeper.analysis.ranking import Ranking
from sweeper.analysis.statistics.table import ConfigurationScores, ScoreTable
from sweeper.errors import BadInputError, DamagedFileError
from sweeper.experiment.metrics import mode_of, own_modes
from sweeper.tracking.final_result import read_final
from sweeper.tracking.record import TrialRecord
from sweeper.tracking.row_scores import FINAL_ROWS, VALIDATION_ROWS, RowScores, read_row_scores
from sweeper.tracking.sweep_folder import SweepFolder

__all__ = ["score_table", "trial_name"]


_Split = Literal["validation", "test"]

# Trials that a message names before it only says that there are more.
_MAX_NAMED = 8


@dataclass(frozen=True, eq=False)
class _Trial:
    """A trial that was trained to its end, or failed."""

    record: TrialRecord
    configuration: str
    """As of :func:`sweeper.analysis.configurations.configuration_of`; the trial's identity where
    each stands for itself."""
    seed: int
    is_asked: bool
    """Whether it was to be scored on the rows; a search scores its best trials alone on test."""
    rows: RowScores | None
    """None where it gave no score."""

    @property
    def title(self) -> str:
        return f"trial {self.record.number} ({self.record.id})"


def trial_name(trial: TrialRecord) -> str:
    """Returns what a table by trial calls a trial: ``trial 3 (lora)``."""
    return f"trial {trial.number} ({trial.method})"


def score_table(
    folder: SweepFolder,
    metric: str,
    split: _Split,
    *,
    by_trial: bool = False,
    ranking: Ranking | None = None,
) -> ScoreTable:
    """Returns what each row of a split contributed to a metric, by configuration and seed.

    Rows of ``validation`` are those of a trial's last evaluation in training, rows of ``test``
    those of the evaluation after the search, which a search has of its best trials alone. Pruned
    and superseded trials are in no table. A seed that failed, or of which no rows were kept, or
    whose numbers are not all finite, is one of the failed seeds; a configuration without any other
    is left out.

    Args:
        folder: of the sweep.
        metric: its name.
        split: of the rows.
        by_trial: whether each trial stands for itself, by its number: what a search says is of the
            adapters that it trained.
        ranking: of the sweep's trials, where it was read already: no file that it knows is read
            again.

    Raises:
        BadInputError: there are no such rows, trials were scored on different rows or one seed
            twice, or nobody says whether more of the metric is better.
        DamagedFileError: a file that holds rows is damaged.
    """
    sign = _sign(folder, metric)
    trials = [
        found
        for record in (folder.trials() if ranking is None else ranking.trials)
        if (found := _trial(folder, record, split, by_trial=by_trial, ranking=ranking))
    ]
    asked = [found for found in trials if found.is_asked]
    with_rows = [found for found in asked if found.rows is not None]
    _require_rows(folder, with_rows, asked, split)
    _require_metric(with_rows, metric, split)
    scored = [found for found in with_rows if _is_finite(found, metric)]
    _require_same_rows(folder, scored, metric, split)
    by_configuration: dict[str, list[_Trial]] = {}
    for found in trials:
        by_configuration.setdefault(found.configuration, []).append(found)
    # Of all trials, so that a configuration has one name on both splits.
    first = {key: own[0].record for key, own in by_configuration.items()}
    names = (
        {key: trial_name(record) for key, record in first.items()}
        if by_trial
        else configuration_names(first)
    )
    configurations, is_scored = [], {id(found) for found in scored}
    for key, all_own in by_configuration.items():
        own = [found for found in all_own if found.is_asked]
        name, good = names[key], [found for found in own if id(found) in is_scored]
        _require_distinct(name, good)
        if good:
            scores = np.stack([sign * _values(found, metric)[1] for found in good])
            failed = tuple(found.seed for found in own if id(found) not in is_scored)
            seeds = tuple(found.seed for found in good)
            configurations.append(ConfigurationScores(name, seeds, scores, failed))
    return _table(configurations, scored[0], metric, split)


def _sign(folder: SweepFolder, metric: str) -> float:
    """Returns 1 where more of a metric is better, else -1."""
    objective = folder.objective()
    own = own_modes(folder.document)
    mode = objective.mode if metric == objective.metric else mode_of(metric, own=own)
    if mode is None:
        raise BadInputError(
            f"metric: got {metric!r}, which does not say whether more is better; known are "
            "<metric>, <metric>/<domain> and <task>/<metric>; name such a metric, or the objective "
            f"({objective.metric})"
        )
    return 1.0 if mode == "max" else -1.0


def _asked_for(
    folder: SweepFolder, record: TrialRecord, *, by_trial: bool, ranking: Ranking | None
) -> tuple[str, int] | None:
    """Returns what a trial counts as, and its seed; None where nobody knows what was run."""
    if by_trial and ranking is not None:
        seed = ranking.seeds.get(record.id)
        return None if seed is None else (record.id, seed)
    try:
        configuration, seed = configuration_of(folder.trial(record.id).spec())
    except DamagedFileError:
        # It is among what a report names as damaged.
        return None
    return (record.id if by_trial else configuration), seed


def _trial(
    folder: SweepFolder,
    record: TrialRecord,
    split: _Split,
    *,
    by_trial: bool,
    ranking: Ranking | None,
) -> _Trial | None:
    """Returns a trial with its rows of a split; None for one that has not come to an end."""
    if record.status not in {"complete", "failed"}:
        return None
    asked_for = _asked_for(folder, record, by_trial=by_trial, ranking=ranking)
    if asked_for is None:
        return None
    trial, (configuration, seed) = folder.trial(record.id), asked_for
    if record.status == "failed":
        return _Trial(record, configuration, seed, is_asked=True, rows=None)
    final = read_final(trial.path) if split == "test" else None
    is_asked = split == "validation" or final is not None
    is_scored = is_asked and not (final and final.error)
    rows = _known(ranking, split).get(record.id) if is_scored else None
    if is_scored and rows is None:
        rows = read_row_scores(trial.path / _file(split))
    return _Trial(record, configuration, seed, is_asked=is_asked, rows=rows)


def _known(ranking: Ranking | None, split: _Split) -> Mapping[str, RowScores]:
    """Returns by trial the rows of a split that were read already."""
    if ranking is None:
        return {}
    return ranking.rows if split == "test" else ranking.validation


def _file(split: _Split) -> str:
    return FINAL_ROWS if split == "test" else VALIDATION_ROWS


def _values(found: _Trial, metric: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Returns the rows that a metric was measured on and what each contributed."""
    assert found.rows is not None
    return found.rows.metrics[metric]


def _is_finite(found: _Trial, metric: str) -> bool:
    return bool(np.isfinite(_values(found, metric)[1]).all())


# What cannot be compared.


def _require_rows(
    folder: SweepFolder, with_rows: Sequence[_Trial], asked: Sequence[_Trial], split: _Split
) -> None:
    others = {found.rows.split for found in with_rows if found.rows} - {split}
    if others:
        raise BadInputError(
            f"split: got {split!r}, but the trials of {folder.name} were evaluated on the "
            f"{others.pop()} split after the search (final.split); ask for the rows of validation, "
            f"or run a sweep with final.split: {split}"
        )
    if with_rows:
        return
    complete = [found for found in asked if found.record.status == "complete"]
    if complete:
        trials = count(len(complete), "trial")
        reason = f"no {_file(split)} was kept of {trials}; earlier versions kept none"
    elif split == "test":
        reason = "no trial was evaluated after the search (final.trials)"
    else:
        reason = "no trial is complete"
    raise BadInputError(
        f"sweep {folder.name}: there are no {split} rows to compare, for {reason}; a table needs "
        "the rows of complete trials; run the sweep to its end, or again in a new one"
    )


def _require_metric(scored: Sequence[_Trial], metric: str, split: _Split) -> None:
    missing = [found for found in scored if found.rows and metric not in found.rows.metrics]
    if not missing:
        return
    rows = missing[0].rows
    assert rows is not None
    known = sorted(rows.metrics)
    raise BadInputError(
        f"metric: got {metric!r}, which the {split} rows of {_listed(missing)} do not have; they "
        f"have {listed(known, most=_MAX_NAMED)}; "
        f"{guess(metric, known, otherwise='name one of them')}"
    )


def _require_same_rows(
    folder: SweepFolder, scored: Sequence[_Trial], metric: str, split: _Split
) -> None:
    """Raises where trials were scored on other rows than most.

    Raises:
        BadInputError: they were; the message names them. Or no trial has finite numbers.
    """
    if not scored:
        raise BadInputError(
            f"sweep {folder.name}: no trial has finite numbers of {metric} on all {split} rows; "
            "scores that are not finite cannot be compared; lower the learning rates"
        )
    rows = {id(found): _rows_named(found, metric) for found in scored}
    usual = Counter(rows.values()).most_common(1)[0][0]
    others = [found for found in scored if rows[id(found)] != usual]
    if others:
        raise BadInputError(
            f"sweep {folder.name}: {_listed(others)} of {count(len(scored), 'trial')} had other "
            f"{split} rows than the rest (their fingerprint is another); only scores on the same "
            "rows can be compared; bring back the data that the rest had and train them again, or "
            "begin a new sweep"
        )


def _rows_named(found: _Trial, metric: str) -> str:
    """Returns what names the rows that a metric was measured on, and their order."""
    assert found.rows is not None
    rows = _values(found, metric)[0]
    if len(rows) == len(found.rows.strata):
        return found.rows.fingerprint
    return hashlib.sha256(found.rows.fingerprint.encode() + rows.tobytes()).hexdigest()[:16]


def _require_distinct(name: str, scored: Sequence[_Trial]) -> None:
    by_seed: dict[int, list[_Trial]] = {}
    for found in scored:
        by_seed.setdefault(found.seed, []).append(found)
    for seed, same in by_seed.items():
        if len(same) > 1:
            raise BadInputError(
                f"configuration {name}: {_listed(same)} have the same seed {seed}; they differ in "
                "the data or the version of the program alone, and a seed counts once; begin a new "
                "sweep, in which all trials have the same of both"
            )


def _listed(trials: Sequence[_Trial]) -> str:
    return listed([found.title for found in trials], most=_MAX_NAMED)


# What a table is made of.


def _table(
    configurations: Sequence[ConfigurationScores], any_trial: _Trial, metric: str, split: _Split
) -> ScoreTable:
    scores, (rows, _) = any_trial.rows, _values(any_trial, metric)
    assert scores is not None
    clusters = None if scores.clusters is None else _numbered(scores.clusters[rows])
    if clusters is not None and clusters.max() + 1 == len(clusters):
        clusters = None
    return ScoreTable(
        configurations=tuple(configurations),
        strata=_numbered(scores.strata[rows]),
        clusters=clusters,
        split=split,
        fingerprint=_rows_named(any_trial, metric),
    )


def _numbered(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns the same groups, numbered from 0 without gaps."""
    return np.unique(groups, return_inverse=True)[1].reshape(groups.shape).astype(np.int64)
