"""Which trial is the best, and how much of that the data allow to say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sweeper.analysis.comparison import gains
from sweeper.analysis.conclusions import _amount, _name, _names, _over_base, _weight
from sweeper.estimates import Estimate, estimate_of
from sweeper.experiment.sweep import ObjectiveSpec
from sweeper.tracking.final_result import FinalResult, read_final
from sweeper.tracking.record import TrialRecord, TrialStatus
from sweeper.tracking.sweep_folder import SweepFolder

__all__ = ["Ranking", "rank", "rank_sweep"]


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
    def base(self) -> Estimate | None:
        """Score of the frozen base."""
        return estimate_of(self.base_scores, self.objective.metric)

    def score(self, trial: TrialRecord) -> Estimate | None:
        """Returns a trial's score."""
        return estimate_of(trial.metrics, self.objective.metric)

    def final_score(self, trial: TrialRecord) -> Estimate | None:
        """Returns a trial's score in the evaluation after the search, None where it has none."""
        found = self.finals.get(trial.id)
        return None if found is None else estimate_of(found.metrics, self.objective.metric)

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
        error = base.unpaired_error(score)
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
        score = None if base is None else estimate_of(base.metrics, metric)
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
        error, gap = first.unpaired_error(second), self._gap(best, other)
        if gap == 0:
            return 0.0
        return gap / error if error is not None else None


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
        score = estimate_of(record.metrics, objective.metric)
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
