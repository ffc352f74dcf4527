"""Given trials, each with several seeds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from sweeper._text import shorten
from sweeper.experiment.design.arms import Arm, complete
from sweeper.experiment.design.base import DesignFile, DesignSpec, configuration_of
from sweeper.experiment.design.plan import DesignPlan
from sweeper.experiment.documents.tree import get_path

__all__ = ["ReplicateDesign"]


class ReplicateDesign(DesignSpec):
    """Given trials, each with several seeds: the file lists them under ``trials``.

    It answers which of them is the best, and which cannot be told from it.
    """

    takes: ClassVar[Literal["methods", "trials"]] = "trials"

    kind: Literal["replicate"] = "replicate"
    """Tag of this design."""
    control_each: bool = False
    """Whether each trial gets the control arm of its own shape and training. A listed control arm
    of another shape is then no fault, but a trial like the others. The confirmation of a search has
    it: what the search found is compared as it was found."""

    def problems(self, file: DesignFile) -> Iterator[tuple[str, str]]:
        """Yields (field, message) for all that is wrong with the design of a file."""
        if not self.control_each:
            yield from super().problems(file)
        for arm in file.arms:
            seed = get_path(arm.entry, ("train", "seed"))
            if seed is not None:
                yield (
                    f"trials.{arm.name}.train.seed",
                    f"is {shorten(repr(seed))}, but the seeds are the design's, and this one would "
                    "repeat; leave it out, and give their number in design.seeds",
                )
        if len(self.compared(file)) < 2:
            yield "trials", "has no two trials to compare; give two or more"

    def compared(self, file: DesignFile) -> tuple[Arm, ...]:
        """Returns the trials of the file, and the control arms that are owed."""
        arms = super().compared(file)
        if self.control == "none":
            return arms
        each = self.control_each
        return complete(arms, is_sized=file.is_sized, is_each_controlled=each)

    def plan(self, file: DesignFile) -> DesignPlan:
        """Returns the trials of the file, and the control arms that are owed."""
        answers = "whether this trial is the best"
        found = (
            configuration_of(arm, name=arm.name, answers=answers) for arm in self.compared(file)
        )
        return self._plan_of(found, kind=self.kind)
