"""The conclusions that a ranking supports, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.analysis.ranking import Ranking
from sweeper.estimates import Estimate, estimate_of
from sweeper.tracking.record import TrialRecord

__all__ = ["conclusions_of"]


# Others that a sentence names before it only counts them.
MAX_NAMED = 3


# Below this many standard errors a difference is weak evidence (one in twenty by chance).
STRONG = 2.0


def conclusions_of(ranking: Ranking) -> list[str]:
    """Returns the conclusions of a ranking, a sentence or two each."""
    return _Conclusions(ranking).all()


class _Conclusions:
    """The sentences on one ranking."""

    def __init__(self, ranking: Ranking) -> None:
        self._ranking = ranking

    def all(self) -> list[str]:
        best = self._ranking.best
        if best is None:
            text = "No trial is complete with a score, so there is no best trial."
            return [text, *self._on_base()]
        direction = "lower" if self._ranking.objective.mode == "min" else "higher"
        first = (
            f"Best: {_name(best)}, {self._ranking.objective.metric} {self._ranking.score(best)} "
            f"({direction} is better)."
        )
        return [first, *self._on_others(best), *self._on_base(), *self._on_finals()]

    def _on_others(self, best: TrialRecord) -> list[str]:
        if len(self._ranking.ranked) == 1:
            return ["It is the only complete trial, so there is no comparison."]
        return [self._verdict(best), self._caveat()]

    def _verdict(self, best: TrialRecord) -> str:
        distances = [(other, self._distance(best, other)) for other in self._ranking.ranked[1:]]
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
                f"{ahead}. The uncertainty of this difference is unknown: "
                f"{self._ranking.objective.metric} has no standard error."
            )
        return f"{ahead}, {distance:.1f} standard errors of the difference{_weight(distance)}."

    def _caveat(self) -> str:
        count = len(self._ranking.ranked)
        return (
            "Standard errors cover the evaluation examples, not the training seed. The score of "
            f"the best of {count}, chosen on these examples, is optimistic."
        )

    def _on_base(self) -> list[str]:
        base = self._ranking.base
        if base is None:
            return []
        text = f"Frozen base: {self._ranking.objective.metric} {base}"
        if self._ranking.best is None:
            return [f"{text}."]
        score = self._ranking.score(self._ranking.best)
        assert score is not None
        gain = self._ranking.sign * (base.value - score.value)
        error = base.unpaired_error(score)
        if error is not None and abs(gain) <= error:
            return [f"{text}. The best trial is not distinguishable from the base."]
        if gain <= 0:
            return [f"{text}. No complete trial is better than the base."]
        return [f"{text}. The best trial is better by {_amount(gain)}."]

    def _on_finals(self) -> list[str]:
        """Returns what the evaluation after the search says, which chose nothing."""
        metric, sentences = self._ranking.objective.metric, []
        for trial in self._ranking.ranked:
            found, score = self._ranking.finals.get(trial.id), self._ranking.final_score(trial)
            if found is None:
                continue
            if found.error:
                sentences.append(f"No final score of {_name(trial)}: {found.error}.")
            elif score is not None:
                chosen = "chosen on the validation split by"
                left_out = found.rows_left_out
                others = f" ({left_out} left out: answer too long)" if left_out else ""
                sentences.append(
                    f"On {found.rows} rows of the {found.split} split{others} {_name(trial)}, "
                    f"{chosen} {metric} {self._ranking.score(trial)}, has {metric} {score}."
                )
        base = self._ranking.base_final
        score = None if base is None else estimate_of(base.metrics, metric)
        if sentences and score is not None:
            sentences.append(f"The frozen base has {metric} {score} on the same rows.")
            sentences += [
                _over_base(_name(trial), self._ranking.sign * -gain.value, gain.standard_error)
                for trial in self._ranking.ranked
                if (gain := self._ranking.gains.get(trial.id, {}).get(metric)) is not None
            ]
        return sentences

    def _gap(self, best: TrialRecord, other: TrialRecord) -> float:
        first, second = self._ranking.score(best), self._ranking.score(other)
        assert first is not None
        assert second is not None
        return abs(first.value - second.value)

    def _distance(self, best: TrialRecord, other: TrialRecord) -> float | None:
        """Returns by how many standard errors two trials differ, None where that is not known."""
        first, second = self._ranking.score(best), self._ranking.score(other)
        assert first is not None
        assert second is not None
        error, gap = first.unpaired_error(second), self._gap(best, other)
        if gap == 0:
            return 0.0
        return gap / error if error is not None else None


def _over_base(name: str, gain: float, error: float | None) -> str:
    """Returns what it says that a trial is better than the base by this, on the same rows."""
    trial = name[0].upper() + name[1:]
    if not error:
        return f"The uncertainty of the difference to {name} is unknown."
    if abs(gain) <= error:
        return f"{trial} is not distinguishable from the base."
    direction = "better" if gain > 0 else "worse"
    distance, amount = abs(gain) / error, Estimate(abs(gain), error)
    return (
        f"{trial} is {direction} by {amount}, {distance:.1f} standard errors of "
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
