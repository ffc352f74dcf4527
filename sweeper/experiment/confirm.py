"""The confirmation of a search: its best trials again, with seeds and rows that chose nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from sweeper._spec import Spec
from sweeper._text import count
from sweeper.errors import Problem
from sweeper.experiment.design.arms import Arm, complete, control_of
from sweeper.experiment.design.base import SEEDS_END
from sweeper.experiment.documents.tree import Document, Json, get_path
from sweeper.experiment.space.budget import fields_set_by
from sweeper.experiment.space.space import Space
from sweeper.experiment.trial import TrialSpec

__all__ = ["ConfirmSpec", "check_confirm", "confirmation_document", "controlled_methods"]


class ConfirmSpec(Spec):
    """A comparison of the best trials of a search, run after it as a sweep of its own.

    The best trials by validation are trained again, with seeds that no trial of the search had and
    with the control arms that are owed. All are evaluated on the test split, so that neither the
    seed nor the rows that made a trial the best decide again. It is a `replicate` design named
    after the search.
    """

    top: Annotated[int, Field(ge=1, le=100)] = 4
    """How many configurations are compared: the best complete ones, all where there are fewer. One
    alone needs a control arm beside it."""
    seeds: Annotated[int, Field(ge=2, le=1000)] = 5
    """Seeds of each."""
    delta: Annotated[float | None, Field(gt=0)] = None
    """Smallest difference that matters, in units of the metric; as in a design."""
    control: Literal["added", "none"] = "added"
    """Whether control arms that are owed are added; as in a design."""

    def describe(self) -> str:
        """Returns what is compared, a part of a sentence."""
        return f"the best {count(self.top, 'configuration')} with {self.seeds} fresh seeds each"


def check_confirm(confirm: ConfirmSpec | None, space: Space) -> list[Problem]:
    """Returns the problem of a confirmation that could compare nothing.

    Args:
        confirm: of a search; without one there is no problem.
        space: that is searched.
    """
    if confirm is None or confirm.top > 1:
        return []
    if confirm.control == "added" and controlled_methods(space):
        return []
    message = (
        "is 1, and no control arm stands beside it; two or more are compared; give top 2 or more, "
        "or leave the confirmation out"
    )
    return [Problem("search.confirm.top", message)]


def controlled_methods(space: Space) -> tuple[str, ...]:
    """Returns the names of the methods of a space, or of its listed trials, that owe a control."""
    found: dict[str, None] = {}
    for axis, point in space.corners():
        name, method = str(point["method"]), get_path(space.tree(point), ("method",))
        # The corner in which nothing has been varied yet stands for its method.
        if axis is None and control_of(Arm(name, {"method": method}), is_sized=False) is not None:
            found[name] = None
    return tuple(found)


def confirmation_document(
    document: Mapping[str, Json],
    best: Mapping[str, TrialSpec],
    confirm: ConfirmSpec,
    *,
    used_seeds: Collection[int],
) -> Document | None:
    """Returns the document of the design that confirms a search; None where it compares nothing.

    Args:
        document: of the search, resolved.
        best: the trials that are compared, by the name that each gets, the best first. No two
            differ in nothing but the seed.
        confirm: how they are compared.
        used_seeds: all seeds that trials of the search had.
    """
    is_sized = document.get("budget") is not None
    train, entries = _entries(best, budget=document.get("budget"))
    arms: Sequence[Arm] = [Arm(str(entry["name"]), entry) for entry in entries]
    if confirm.control == "added":
        arms = complete(arms, is_sized=is_sized, is_each_controlled=True)
    if len(arms) < 2:
        return None
    design: Document = {
        "kind": "replicate",
        "seeds": confirm.seeds,
        "first_seed": _first_seed(used_seeds, confirm.seeds),
        "control": confirm.control,
        "control_each": True,
    }
    if confirm.delta is not None:
        design["delta"] = confirm.delta
    # What is searched, and how, is over.
    over = {"methods", "trials", "baselines", "search", "train", "final"}
    kept = {key: value for key, value in document.items() if key not in over}
    final = document.get("final")
    if isinstance(final, dict):
        kept["final"] = {key: value for key, value in final.items() if key != "trials"}
    return {
        **kept,
        "name": f"{document['name']}-confirm",
        "description": f"The best trials of {document['name']} again, with fresh seeds.",
        "train": train,
        "trials": [*entries],
        "design": design,
    }


def _entries(best: Mapping[str, TrialSpec], *, budget: Json) -> tuple[Document, list[Document]]:
    """Returns what the trainings have in common, and each trial as an entry of ``trials``."""
    trains = [trial.train.model_dump(mode="json", exclude={"seed"}) for trial in best.values()]
    first = trains[0] if trains else {}
    common = {
        field: value
        for field, value in first.items()
        # What changes nothing is not written.
        if all(field in train and train[field] == value for train in trains)
    }
    entries: list[Document] = []
    for (name, trial), train in zip(best.items(), trains, strict=True):
        # With a budget the sizes are the budget's, as they were in the search.
        sized = set(fields_set_by(budget, dict(trial.method)))
        entry: Document = {
            "name": name,
            "method": trial.method.model_dump(mode="json", exclude=sized),
        }
        own = {field: value for field, value in train.items() if field not in common}
        entries.append({**entry, "train": own} if own else entry)
    return common, entries


def _first_seed(used: Collection[int], number: int) -> int:
    """Returns the first of so many unused seeds in a row, above all used ones if there is room."""
    starts = [*(seed + 1 for seed in sorted(used, reverse=True)), 0]
    taken = set(used)
    return next(
        start
        for start in starts
        if start < SEEDS_END and taken.isdisjoint(range(start, start + number))
    )
