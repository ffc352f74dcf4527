"""Which trial is the best, and how much of that the data allow to say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sweeper.experiment.sweep import ObjectiveSpec
from sweeper.finals import FinalResult, gains, read_final
from sweeper.metrics import Estimate, plain
from sweeper.records import TrialRecord, TrialStatus
from sweeper.scores import Score, score_of
from sweeper.tracking import SweepFolder

__all__ = ["Ranking", "rank", "rank_sweep", "sweep_result"]

# Others that a sentence names before it only counts them.
MAX_NAMED = 3
# Below this many standard errors a difference is weak evidence (one in twenty by chance).
STRONG = 2.0

STATUS_ORDER: tuple[TrialStatus, ...] = ("complete", "running", "queued", "pruned", "failed")


@dataclass(frozen=True)
class Ranking:
    """The trials of a sweep in the order of their worth."""

    objective: ObjectiveSpec
    """What was optimised."""
    ranked: tuple[TrialRecord, ...]
    """Complete trials with a score, the best first; of equal ones the earlier."""
    others: tuple[TrialRecord, ...]
    """All other trials; none of them can be the best."""
    base_scores: Mapping[str, float]
    """Scores of the frozen base, empty where it was not scored."""
    finals: Mapping[str, FinalResult] = field(default_factory=dict)
    """By trial: the result of its evaluation after the search."""
    base_final: FinalResult | None = None
    """That of the frozen base."""
    gains: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)
    """By trial: by how much its final metrics differ from the base's, on the same rows."""

    @property
    def best(self) -> TrialRecord | None:
        """The best complete trial, None without any."""
        return self.ranked[0] if self.ranked else None

    @property
    def trials(self) -> tuple[TrialRecord, ...]:
        """All trials by number."""
        return tuple(sorted((*self.ranked, *self.others), key=lambda trial: trial.number))

    @property
    def base(self) -> Score | None:
        """Score of the frozen base."""
        return score_of(self.base_scores, self.objective.metric)

    def score(self, trial: TrialRecord) -> Score | None:
        """Returns a trial's score."""
        return score_of(trial.metrics, self.objective.metric)

    def final_score(self, trial: TrialRecord) -> Score | None:
        """Returns a trial's score in the evaluation after the search, None where it has none."""
        found = self.finals.get(trial.id)
        return None if found is None else score_of(found.metrics, self.objective.metric)

    def counts(self) -> dict[str, int]:
        """Returns the number of trials of each status that there is."""
        statuses = [trial.status for trial in self.trials]
        return {status: statuses.count(status) for status in STATUS_ORDER if status in statuses}

    def conclusions(self) -> list[str]:
        """Returns what can be said, a sentence or two each."""
        best = self.best
        if best is None:
            return ["No trial is complete with a score, so there is no best one.", *self._on_base()]
        direction = "lower" if self.objective.mode == "min" else "higher"
        first = (
            f"Best: {_name(best)}, {self.objective.metric} {self.score(best)} "
            f"({direction} is better)."
        )
        return [first, *self._on_others(best), *self._on_base(), *self._on_finals()]

    def _on_others(self, best: TrialRecord) -> list[str]:
        if len(self.ranked) == 1:
            return ["It is the only complete trial: there is nothing to compare it with."]
        return [self._verdict(best), self._caveat()]

    def _verdict(self, best: TrialRecord) -> str:
        distances = [(other, self._distance(best, other)) for other in self.ranked[1:]]
        near = [other for other, errors in distances if errors is not None and errors <= 1]
        if near:
            is_equal = all(self._gap(best, other) == 0 for other in near)
            difference = "the difference is within one standard error of the difference"
            reason = "the scores are equal" if is_equal else difference
            return f"It is not distinguishable from {_names(near)}: {reason}."
        runner_up, distance = distances[0]
        ahead = f"It is ahead of {_name(runner_up)} by {_amount(self._gap(best, runner_up))}"
        if distance is None:
            return (
                f"{ahead}. Whether that is more than chance is not known: "
                f"{self.objective.metric} comes without a standard error."
            )
        return f"{ahead}, {distance:.1f} standard errors of the difference{_weight(distance)}."

    def _caveat(self) -> str:
        return (
            "Standard errors cover the evaluation examples, not the seed; and the best of "
            f"{len(self.ranked)}, chosen on these examples, scores better on them than on new ones."
        )

    def _on_base(self) -> list[str]:
        base = self.base
        if base is None:
            return []
        text = f"Frozen base: {self.objective.metric} {base}"
        if self.best is None:
            return [f"{text}."]
        score = self.score(self.best)
        assert score is not None
        gain = self._sign() * (base.value - score.value)
        error = base.error_of_difference(score)
        if error is not None and abs(gain) <= error:
            return [f"{text}. The best trial is not distinguishable from it."]
        if gain <= 0:
            return [f"{text}. No complete trial is better than that."]
        return [f"{text}. The best trial is better by {_amount(gain)}."]

    def _on_finals(self) -> list[str]:
        """Returns what the evaluation after the search says, which chose nothing."""
        metric, sentences = self.objective.metric, []
        for trial in self.ranked:
            found, score = self.finals.get(trial.id), self.final_score(trial)
            if found is None:
                continue
            if found.error:
                sentences.append(f"No final score of {_name(trial)}: {found.error}.")
            elif score is not None:
                chosen = "chosen on the validation split by"
                left_out = found.rows_left_out
                others = f" ({left_out} left out: answers too long)" if left_out else ""
                sentences.append(
                    f"On {found.rows} rows of the {found.split} split{others} {_name(trial)}, "
                    f"{chosen} {metric} {self.score(trial)}, has {metric} {score}."
                )
        base = self.base_final
        score = None if base is None else score_of(base.metrics, metric)
        if sentences and score is not None:
            sentences.append(f"The frozen base has {metric} {score} on the same rows.")
            sentences += [
                _over_base(_name(trial), self._sign() * -gain.value, gain.standard_error)
                for trial in self.ranked
                if (gain := self.gains.get(trial.id, {}).get(metric)) is not None
            ]
        return sentences

    def _sign(self) -> int:
        return 1 if self.objective.mode == "min" else -1

    def _gap(self, best: TrialRecord, other: TrialRecord) -> float:
        first, second = self.score(best), self.score(other)
        assert first is not None
        assert second is not None
        return abs(first.value - second.value)

    def _distance(self, best: TrialRecord, other: TrialRecord) -> float | None:
        """Returns by how many standard errors two trials differ, None where that is not known."""
        first, second = self.score(best), self.score(other)
        assert first is not None
        assert second is not None
        error, gap = first.error_of_difference(second), self._gap(best, other)
        if gap == 0:
            return 0.0
        return gap / error if error is not None else None


def _over_base(name: str, gain: float, error: float | None) -> str:
    """Returns what it says that a trial is better than the base by this, on the same rows."""
    trial = name[0].upper() + name[1:]
    if not error:
        return f"Whether the difference to {name} is more than chance is not known."
    if abs(gain) <= error:
        return f"{trial} is not distinguishable from that."
    direction = "better" if gain > 0 else "worse"
    distance = abs(gain) / error
    return (
        f"{trial} is {direction} by {Score(abs(gain), error)}, {distance:.1f} standard errors of "
        f"the paired difference{_weight(distance)}."
    )


def _weight(distance: float) -> str:
    """Returns what a difference of so many standard errors is worth, where that is little."""
    return "" if distance >= STRONG else ", which is weak evidence"


def _name(trial: TrialRecord) -> str:
    return f"trial {trial.number} ({trial.method})"


def _names(trials: Sequence[TrialRecord]) -> str:
    names = [_name(trial) for trial in trials[:MAX_NAMED]]
    more = len(trials) - len(names)
    if more:
        names.append(f"{more} more")
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _amount(value: float) -> str:
    return f"{value:.3g}"


def rank(
    records: Sequence[TrialRecord],
    objective: ObjectiveSpec,
    *,
    base_scores: Mapping[str, float] | None = None,
) -> Ranking:
    """Returns the ranking of trials.

    Args:
        records: of all trials.
        objective: what was optimised.
        base_scores: scores of the frozen base; where there are none, a trial's own metrics named
            ``base_<metric>`` stand in.
    """
    sign = 1 if objective.mode == "min" else -1
    keyed = []
    for record in records:
        score = score_of(record.metrics, objective.metric)
        if record.status == "complete" and score is not None:
            keyed.append((sign * score.value, record.number, record))
    ranked = tuple(record for _, _, record in sorted(keyed, key=lambda item: item[:2]))
    rest = [record for record in records if record not in ranked]
    rest.sort(key=lambda record: (STATUS_ORDER.index(record.status), record.number))
    return Ranking(objective, ranked, tuple(rest), dict(base_scores or _base_of(records)))


def _base_of(records: Sequence[TrialRecord]) -> dict[str, float]:
    for record in records:
        found = {
            name.removeprefix("base_"): value
            for name, value in record.metrics.items()
            if name.startswith("base_")
        }
        if found:
            return found
    return {}


def rank_sweep(folder: SweepFolder) -> Ranking:
    """Returns the ranking of a sweep on disk."""
    objective = ObjectiveSpec.model_validate(folder.document.get("objective", {}))
    ranking = rank(folder.trials(), objective, base_scores=folder.base_scores())
    found = {trial.id: read_final(folder.trial(trial.id).path) for trial in ranking.ranked}
    finals = {trial_id: result for trial_id, result in found.items() if result is not None}
    return replace(
        ranking,
        finals=finals,
        base_final=read_final(folder.path),
        gains={name: gains(folder.trial(name).path, folder.path) for name in finals},
    )


def sweep_result(folder: SweepFolder, ranking: Ranking, *, tracking_uri: str) -> dict[str, Any]:
    """Returns a sweep's result as one plain JSON document.

    Args:
        folder: the sweep.
        ranking: of its trials.
        tracking_uri: MLflow's store, without a password.
    """
    best = ranking.best
    return {
        "sweep": folder.name,
        "status": folder.status,
        "tracking_uri": tracking_uri,
        "objective": ranking.objective.model_dump(mode="json"),
        "base": _finite(ranking.base_scores) or None,
        "evaluation": folder.protocol() or None,
        "base_final": _final_document(ranking.base_final),
        "best": _trial_document(folder, ranking, best) if best is not None else None,
        "conclusions": ranking.conclusions(),
        "trials": [_trial_document(folder, ranking, trial) for trial in ranking.trials],
    }


def _trial_document(folder: SweepFolder, ranking: Ranking, trial: TrialRecord) -> dict[str, Any]:
    adapter = folder.trial(trial.id).adapter
    error = trial.error
    return {
        "id": trial.id,
        "number": trial.number,
        "origin": trial.origin,
        "method": trial.method,
        "params": trial.params,
        "status": trial.status,
        "steps": trial.steps,
        "metrics": _finite(trial.metrics),
        "final": _final_document(ranking.finals.get(trial.id)),
        "final_gains": _finite(plain(ranking.gains.get(trial.id, {}))) or None,
        "trainable": trial.trainable,
        "percent": trial.percent,
        "wall_time_s": trial.wall_time_s,
        "overhead_s": trial.overhead_s,
        "attempts": trial.attempts,
        "error": f"{error.type}: {error.message}" if error is not None else None,
        "adapter": str(adapter) if adapter.is_dir() else None,
    }


def _final_document(result: FinalResult | None) -> dict[str, Any] | None:
    if result is None:
        return None
    return {**result.model_dump(mode="json"), "metrics": _finite(result.metrics)}


def _finite(metrics: Mapping[str, float]) -> dict[str, float | None]:
    # Strict JSON has no NaN; null says that there is no number, which is the truth.
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}
