"""What all designs have: seeds, the smallest difference of interest, control arms."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from sweeper._spec import Spec
from sweeper._text import level_text
from sweeper.experiment.design.arms import Arm, find_unequal_controls, method_of, with_controls
from sweeper.experiment.design.plan import Configuration, DesignPlan, Question
from sweeper.experiment.documents.tree import Document, Json

__all__ = ["LOOKS", "SEEDS_END", "DesignFile", "DesignSpec", "configuration_of", "values_name"]

LOOKS = (3, 5, 10)
"""The numbers of seeds at which conclusions may be drawn one after another: the error of these
three looks was simulated, with levels of .01, .015 and .025."""


SEEDS_END = 2**30
"""First seeds are below it."""


@dataclass(frozen=True)
class DesignFile:
    """What a design takes from its file."""

    arms: tuple[Arm, ...]
    """The methods of the file, or its trials."""
    train: Document
    """Training, as the file and the profile give it to all trials."""
    is_sized: bool
    """Whether a budget sets the sizes."""


class DesignSpec(Spec):
    """A comparison that is decided before it starts."""

    question: ClassVar[Question] = "best"
    """What the trials answer."""
    takes: ClassVar[Literal["methods", "trials"]] = "methods"
    """Key of the file that has what is compared."""

    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (5,)
    """How many seeds each configuration is trained with, such as ``5``; or ``3/5/10``, the looks at
    which conclusions may be drawn: after 3 seeds, after 5, and after 10. With one seed nothing can
    be said of configurations. 3 are recommended, 5 for most tables. The same seed gives all
    methods the same order of the data."""
    first_seed: int = Field(default=0, ge=0, lt=SEEDS_END)
    """The first seed; the others follow on it."""
    delta: float | None = Field(default=None, gt=0)
    """The smallest difference that matters, in units of the metric: 0.01 is a point of accuracy. It
    is kept with the sweep, before anything is trained. Where ``null`` it is a point of accuracy, or
    2 % of the control's mean."""
    control: Literal["added", "none"] = "added"
    """Whether a comparison that owes a control arm and has none is completed with it, at the same
    size; ``none`` leaves it out, and the report says so."""

    @field_validator("seeds", mode="before")
    @classmethod
    def _read_seeds(cls, value: object) -> object:
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1000:
            return (value,)
        parts: list[object] = list(value) if isinstance(value, list | tuple) else []
        if isinstance(value, str):
            parts = [int(part) if part.isdecimal() else part for part in value.split("/")]
        if tuple(parts) == LOOKS or (isinstance(value, tuple) and len(parts) == 1):
            return tuple(parts)
        repeated = "seeds repeat; " if len(set(map(str, parts))) < len(parts) else ""
        raise ValueError(
            f"{repeated}allowed is how many seeds there are, 1 to 1000, or the "
            "looks 3/5/10; the seeds themselves are first_seed and those that follow on it"
        )

    def problems(self, file: DesignFile) -> Iterator[tuple[str, str]]:
        """Yields (field, message) for all that is wrong with the design of a file."""
        for name, message in find_unequal_controls(self.compared(file), is_sized=file.is_sized):
            yield f"{self.takes}.{name}", message

    def compared(self, file: DesignFile) -> tuple[Arm, ...]:
        """Returns the arms that this design compares, with control arms named as such."""
        return with_controls(file.arms, is_sized=file.is_sized)

    @abstractmethod
    def plan(self, file: DesignFile) -> DesignPlan:
        """Returns all trials of the design, with what each is for.

        Args:
            file: in which :meth:`problems` finds none.
        """

    def _plan_of(
        self,
        configurations: Iterable[Configuration],
        *,
        kind: str,
        baseline: str | None = None,
    ) -> DesignPlan:
        number = self.seeds[-1]
        return DesignPlan(
            kind=kind,
            question=self.question,
            configurations=tuple(configurations),
            seeds=tuple(range(self.first_seed, self.first_seed + number)),
            looks=self.seeds,
            delta=self.delta,
            control=self.control,
            baseline=baseline,
        )


def configuration_of(
    arm: Arm, *, name: str, answers: str, levels: dict[str, Json] | None = None
) -> Configuration:
    """Returns the configuration of an arm as it is.

    Args:
        arm: of the design.
        name: of the configuration.
        answers: what it is trained for; of a control arm that is known.
        levels: value of each factor, by its name.
    """
    method = method_of(arm)
    said = arm.entry.get("method")
    named = said.get("name") if isinstance(said, dict) else ""
    if arm.controls:
        answers = f"control arm of {arm.controls}: the gain that is not its own"
    return Configuration(
        name=name,
        entry=arm.entry,
        method=str(named if method is None else method.label),
        answers=answers,
        levels=levels or {},
        controls=arm.controls,
    )


def values_name(fields: Sequence[str], values: Sequence[Json]) -> str:
    """Returns ``experts=3, router=none``."""
    return ", ".join(
        f"{field}={level_text(value)}" for field, value in zip(fields, values, strict=True)
    )
