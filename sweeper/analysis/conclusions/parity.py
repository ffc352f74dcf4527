"""Whether what is compared differs in nothing but what is asked: it stands before any verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sweeper._text import count, listed, value_text
from sweeper.analysis.statistics.verdicts.spec import SAME_SIZE
from sweeper.data.hygiene import HygieneSpec
from sweeper.experiment.design import DesignPlan
from sweeper.experiment.documents.tree import get_path
from sweeper.experiment.space.scales import shared_scale
from sweeper.tracking.record import TrialRecord, TrialStatus
from sweeper_adapters.methods import AnyMethodSpec, Method

__all__ = ["ParityLine", "parity_of"]

_MOST_NAMED = 8
_METHODS: TypeAdapter[Any] = TypeAdapter(Method)


@dataclass(frozen=True)
class ParityLine:
    """One respect in which configurations are alike, or are not.

    Attributes:
        subject: What it is of: size, scale, training, end, learning rate, trials, control arm,
            failed seeds, stopped seeds, hygiene.
        text: What was found, a sentence.
        holds: Whether the configurations are alike in it.
        names: Configurations or methods whose verdicts carry the caveat where it does not hold.
        caveat: A short sentence for these verdicts.
        sizes: Trainable parameters by name, of the line on the size: a verdict tells by how much
            those differ that it is on.
    """

    subject: str
    text: str
    holds: bool
    names: tuple[str, ...] = ()
    caveat: str = ""
    sizes: tuple[tuple[str, int], ...] = ()


def parity_of(
    records: Sequence[TrialRecord],
    specs: Mapping[str, Mapping[str, Any]],
    names: Mapping[str, str],
    plan: DesignPlan | None,
    hygiene: HygieneSpec | None,
) -> tuple[ParityLine, ...]:
    """Returns in what the trials of a sweep are alike.

    Args:
        records: of the trials that ended: complete, failed, or stopped by the owner.
        specs: by trial: its spec as plain JSON.
        names: by trial: what its verdicts call it, the configuration or the tuned method.
        plan: of the design; None of a search.
        hygiene: how the data was checked; None where nobody knows.
    """
    lines = _Lines(records, specs, names, plan, hygiene)
    return tuple(lines.all()) if records else ()


class _Lines:
    """The lines of one sweep."""

    def __init__(
        self,
        records: Sequence[TrialRecord],
        specs: Mapping[str, Mapping[str, Any]],
        names: Mapping[str, str],
        plan: DesignPlan | None,
        hygiene: HygieneSpec | None,
    ) -> None:
        self._records = records
        self._specs = specs
        self._names = names
        self._plan = plan
        self._hygiene = hygiene

    def all(self) -> Iterator[ParityLine]:
        yield from self._size()
        yield from self._scale()
        yield self._training()
        yield from self._ends()
        yield from self._rates()
        yield self._trials()
        yield from self._control_arms()
        yield self._seeds()
        yield from self._stopped()
        yield self._rows()

    def _size(self) -> Iterator[ParityLine]:
        sizes = {self._names[x.id]: x.trainable for x in self._records if x.trainable}
        if not sizes:
            return
        low, high = min(sizes.values()), max(sizes.values())
        miss = 1 - low / high
        holds = miss <= SAME_SIZE
        alike = f"{high:,}" if low == high else f"{low:,} to {high:,} ({100 * miss:.3g} % apart)"
        text = f"Trainable parameters: {alike}"
        far = tuple(x for x, size in sizes.items() if 1 - size / high > SAME_SIZE)
        yield ParityLine("size", text, holds, far, sizes=tuple(sizes.items()))

    def _scale(self) -> Iterator[ParityLine]:
        """Whether several methods multiply updates by the same number, where there is an alpha."""
        if len({x.method for x in self._records}) < 2:
            return
        methods: list[tuple[str, AnyMethodSpec]] = []
        unread: list[str] = []
        for record in self._records:
            name = self._names[record.id]
            try:
                method = _METHODS.validate_python(self._specs[record.id].get("method"))
                methods.append((name, method))
            except ValidationError:
                unread.append(name)
        found = shared_scale(methods)
        if found is None:
            return
        names = listed(list(dict.fromkeys(unread)), most=_MOST_NAMED)
        # Of another version, or of a user's own file that is gone or another one by now.
        unknown = f"; of {names} it is not known: this program cannot read the spec" * bool(unread)
        caveat = "" if found.holds else "alpha / rank differs"
        text = f"Scale of the update: {found.text}{unknown}"
        yield ParityLine("scale", text, found.holds, found.names, caveat)

    def _training(self) -> ParityLine:
        """Whether all saw as many examples of the same length in as many steps."""
        fields = ("steps", "batch_size", "max_length")
        kinds = Counter(tuple(self._train(x, field) for field in fields) for x in self._records)
        (steps, batch, length), _ = kinds.most_common(1)[0]
        if len(kinds) == 1:
            text = (
                f"Training: {steps} steps of {batch} examples of at most {length} tokens for all; "
                "one seed gives all of them one order of the data"
            )
            return ParityLine("training", text, holds=True)
        text = "Training: steps, batches or lengths differ between configurations"
        return ParityLine("training", text, False, self._distinct(), "Training differs")

    def _ends(self) -> Iterator[ParityLine]:
        """Whether the trials that their own patience ended had as many steps as the rest."""
        ended = [x for x in self._records if x.status == "complete" and x.ended_by]
        if not ended:
            return
        done = [x for x in self._records if x.status == "complete"]
        low, high = min(x.steps for x in done), max(x.steps for x in done)
        asked = sorted({self._train(x, "patience") for x in done})
        rule = f"patience {asked[0]} for all" if len(asked) == 1 else "patience differs"
        said = f"{rule}; it ended {len(ended)} of {count(len(done), 'trial')}"
        early = tuple(dict.fromkeys(self._names[x.id] for x in ended))
        if low == high:
            text = f"End: {said}, all after {count(low, 'step')}"
            yield ParityLine("end", text, True, early)
            return
        text = f"End: {said}, so that they had {low} to {high} steps"
        caveat = "Patience ended trials after unlike numbers of steps"
        yield ParityLine("end", text, False, early, caveat)

    def _rates(self) -> Iterator[ParityLine]:
        methods = {x.method for x in self._records}
        if len(methods) < 2:
            return
        if self._plan is not None and self._plan.tuned is not None:
            values = self._plan.tuned.values
            text = (
                f"Learning rate: each method at its own, tuned over {len(values)} rates from "
                f"{values[0]:g} to {values[-1]:g}"
            )
            yield ParityLine("learning rate", text, holds=True)
            return
        rates = sorted({float(self._train(x, "learning_rate")) for x in self._records})
        said = f"one for all, {value_text(rates[0])}"
        if len(rates) > 1:
            said = f"{value_text(rates[0])} to {value_text(rates[-1])}"
        text = (
            f"Learning rate: {said}, not tuned for each method; the better method may only have "
            "the better rate"
        )
        # Two configurations of one method differ in nothing that a rate is tuned for.
        usual = Counter(x.method for x in self._records).most_common(1)[0][0]
        other = dict.fromkeys(self._names[x.id] for x in self._records if x.method != usual)
        caveat = "The learning rate is not tuned for each method"
        yield ParityLine("learning rate", text, False, tuple(other), caveat)

    def _trials(self) -> ParityLine:
        counts = Counter(self._names[x.id] for x in self._records)
        low, high = min(counts.values()), max(counts.values())
        each = f"{low}" if low == high else f"{low} to {high}"
        what = "method" if self._plan is not None and self._plan.tuned else "configuration"
        text = f"Trials: {each} of each {what}"
        fewer = () if low == high else tuple(x for x, number in counts.items() if number < high)
        caveat = "Numbers of trials differ" if fewer else ""
        return ParityLine("trials", text, low == high, fewer, caveat)

    def _control_arms(self) -> Iterator[ParityLine]:
        plan = self._plan
        if plan is None:
            return
        pairs = [(x.controls, x.method) for x in plan.configurations if x.controls]
        pairs = list(dict.fromkeys(pairs))
        if pairs:
            said = ", ".join(f"{control} of {own}" for own, control in pairs)
            yield ParityLine("control arm", f"Control arm: {said}", holds=True)
        elif plan.control == "none":
            text = "Control arm: none, as the design asks; a gain may not be the method's own"
            yield ParityLine(
                "control arm", text, False, self._distinct(), "There is no control arm"
            )

    def _ended_as(self, status: TrialStatus) -> dict[str, int]:
        """Returns how many trials of each name ended so; without those that have none."""
        return dict(Counter(self._names[x.id] for x in self._records if x.status == status))

    def _stopped(self) -> Iterator[ParityLine]:
        """What its owner has stopped is in no verdict; by that the rest may have been chosen."""
        stopped = self._ended_as("stopped")
        if stopped:
            said = ", ".join(f"{number} of {name}" for name, number in stopped.items())
            text = f"Stopped by the owner: {said}; what is left may be what looked well"
            caveat = "Its owner stopped trials of it"
            yield ParityLine("stopped seeds", text, False, tuple(stopped), caveat)

    def _seeds(self) -> ParityLine:
        bad = self._ended_as("failed")
        if not bad:
            return ParityLine("failed seeds", "Failed seeds: none", holds=True)
        said = ", ".join(f"{number} of {name}" for name, number in bad.items())
        text = f"Failed seeds: {said}; what is left may be what went well"
        # Their verdicts say so by themselves.
        return ParityLine("failed seeds", text, holds=False)

    def _rows(self) -> ParityLine:
        """Whether training rows have evaluation rows in them, as far as the sweep's file says.

        No sweep starts whose data has more of them than it allows; how many there are it does not
        note.
        """
        found = self._hygiene
        if found is None or found.contamination == "allow":
            why = "hygiene.contamination: allow" if found else "the sweep's file does not say"
            text = f"Hygiene: nobody knows how many test rows are in the training rows ({why})"
            caveat = "Training rows may contain test rows"
            return ParityLine("hygiene", text, False, self._distinct(), caveat)
        test, validation = (
            f"{100 * share:.3g} %" for share in (found.test_share, found.validation_share)
        )
        most = f"at most {test} of a task's test rows and {validation} of the validation rows"
        text = f"Hygiene: checked before the start; {most} are in the training rows"
        usual = HygieneSpec()
        if found.test_share <= usual.test_share and found.overlap <= usual.overlap:
            return ParityLine("hygiene", text, holds=True)
        caveat = f"Training rows may contain {test} of the test rows"
        return ParityLine("hygiene", text, False, self._distinct(), caveat)

    def _train(self, record: TrialRecord, field: str) -> str:
        """Returns a field of training as text: a file that was changed may hold anything."""
        return str(get_path(dict(self._specs[record.id]), ("train", field)))

    def _distinct(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._names[x.id] for x in self._records))
