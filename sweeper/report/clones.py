"""The clones of a sweep as rows of texts, for terminal and page."""

from __future__ import annotations

from sweeper.estimates import estimate_of
from sweeper.experiment.sweep import ObjectiveSpec
from sweeper.report.configurations import score_title
from sweeper.tracking.final_result import FinalResult, read_final
from sweeper.tracking.owner.clones import clones_of
from sweeper.tracking.sweep_folder import SweepFolder

__all__ = ["CLONES_NOTE", "clone_rows"]

CLONES_NOTE = (
    "A clone begins where its parent ended: it has had more steps than a trial. It counts in no "
    "ranking, mean or verdict, and the search is not told of it."
)
"""How clones are to be read."""


def clone_rows(
    folder: SweepFolder, objective: ObjectiveSpec
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]] | None:
    """Returns titles and rows, the best first; None where there is no clone.

    Args:
        folder: of the sweep.
        objective: what clones are ordered by, among themselves alone.
    """
    sign = 1 if objective.mode == "min" else -1
    keyed = []
    for place, clone in clones_of(folder):
        score = estimate_of(clone.record.metrics, objective.metric)
        is_ranked = score is not None and clone.record.status == "complete"
        rank = (0, sign * score.value) if is_ranked and score is not None else (1, 0.0)
        keyed.append((rank, clone.record.number, clone, score, read_final(place.path)))
    if not keyed:
        return None
    # Nothing is said of a split that no clone was evaluated on.
    splits = [final.split for *_, final in keyed if final is not None][:1]
    finals = [score_title(objective.metric, split) for split in splits]
    head = ("clone", "id", "from", "changed", objective.metric, *finals)
    rows = [
        (
            str(clone.record.number),
            clone.record.id,
            clone.parent.name,
            ", ".join(clone.parent.asked),
            "none" if score is None else str(score),
            *(_final_text(final, objective.metric) for _ in splits),
            clone.record.status_text,
            clone.record.steps_text,
            f"{clone.steps_in_all:,}",
        )
        for _, _, clone, score, final in sorted(keyed, key=lambda each: each[:2])
    ]
    return (*head, "status", "steps", "steps in all"), tuple(rows)


def _final_text(final: FinalResult | None, metric: str) -> str:
    """Returns the score of a clone's final evaluation, or why there is none, in a word or two."""
    if final is not None and final.error:
        return "failed"
    found = None if final is None else estimate_of(final.metrics, metric)
    return "none" if found is None else str(found)
