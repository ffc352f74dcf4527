"""Parameters counted: adapters put into a model that has shapes and no values.

The model is on torch's meta device, so nothing is downloaded and no weight takes memory. What is
counted is what a trial would train, save and keep optimiser state of, not a formula; the formula of
the method must come to the same number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sweeper._text import params_text, varying
from sweeper._third_party import ignore_known_warnings
from sweeper.errors import CountError
from sweeper.experiment.documents.packaged_spaces import find_packaged_folders
from sweeper.experiment.documents.yaml_files import read_yaml
from sweeper.experiment.space.listed import ListedTrial, Published
from sweeper.experiment.space.space import MethodSpace
from sweeper.experiment.sweep import Sweep
from sweeper.experiment.trial import TrialSpec
from sweeper.models import DTYPES
from sweeper.models.shapes import architecture, skeleton
from sweeper.models.snapshot import ModelSnapshot
from sweeper.search.draws import DrawnTrial, draw_all
from sweeper.training.adapter_file import adapter_bytes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from sweeper_adapters.training import Training

__all__ = ["CountedTrial", "Counts", "TrialCounter", "count_trials"]


@dataclass(frozen=True)
class CountedTrial:
    """What one trial trains and keeps."""

    name: str
    """A listed trial's name; of any other its method and the fields in which trials differ."""
    method: str
    trainable: int
    """Trainable parameters, those that layers share counted once."""
    total: int
    """Parameters of the base model, and the trainable ones."""
    adapter_bytes: int
    """Size of the file that the trained adapter is saved in."""
    optimizer_bytes: int
    """AdamW's two moments and, on a 16-bit base, the float32 copies that it steps, over all
    workers; and what the method itself keeps on each worker to step with."""
    published: Published | None
    """The published figure."""
    note: str
    """Why the count differs from the published figure, or another remark."""

    @property
    def percent(self) -> float:
        """100 * trainable / total, as the papers count."""
        return 100 * self.trainable / self.total

    def document(self) -> dict[str, Any]:
        """Returns the row as plain JSON; ``published`` keeps the digits that are printed."""
        published = self.published
        return {
            "name": self.name,
            "method": self.method,
            "trainable": self.trainable,
            "total": self.total,
            "percent": self.percent,
            "adapter_bytes": self.adapter_bytes,
            "optimizer_bytes": self.optimizer_bytes,
            "published": None if published is None else published.params,
            "source": None if published is None else published.source,
            "agrees": None if published is None else published.is_met_by(self.percent),
            "note": self.note,
        }


def count_trials(sweep: Sweep) -> Iterator[CountedTrial]:
    """Yields the counts of every trial of a sweep, as a plan lists them.

    Raises:
        CountError: a method's formula, or the shape of the model, is not what was built.
    """
    ignore_known_warnings()
    drawn = _one_of_each_seed(draw_all(sweep))
    # What is searched of the training changes no count.
    params = [
        {"method": trial.spec.method.label}
        | {name: x for name, x in trial.spec.method.parameters().items() if x is not None}
        for trial in drawn
    ]
    names = [name for name in varying(params) if name != "method"]
    counter, printed = TrialCounter(), list(_printed())
    for trial, fields in zip(drawn, params, strict=True):
        spec = trial.spec
        is_listed = trial.space.designed is None
        listed = (trial.space.listed if is_listed else None) or _same(spec, printed)
        counts = counter.count(spec)
        name = f"{spec.method.label} {params_text(fields, names)}".rstrip()
        yield CountedTrial(
            name=_name(trial.space, otherwise=name),
            method=spec.method.label,
            trainable=counts.trainable,
            total=counts.base + counts.trainable,
            adapter_bytes=counts.adapter_bytes,
            optimizer_bytes=counts.optimizer_bytes,
            published=None if listed is None else listed.published,
            note="" if listed is None else listed.note,
        )


def _one_of_each_seed(drawn: Sequence[DrawnTrial]) -> list[DrawnTrial]:
    """Returns the trials, of a design each configuration once: a seed changes no count."""
    found: dict[str, DrawnTrial] = {}
    for trial in drawn:
        found.setdefault(_name(trial.space, otherwise=str(trial.number)), trial)
    return list(found.values())


def _name(space: MethodSpace, *, otherwise: str) -> str:
    if space.designed is not None:
        return space.designed.configuration
    return otherwise if space.listed is None else space.name


def _printed() -> Iterator[ListedTrial]:
    """Yields what the papers print, as the lists of trials that come with the sweeper have it."""
    for folder in find_packaged_folders():
        for path in sorted((folder / "papers").glob("*_params.yaml")):
            entries = read_yaml(path)["trials"]
            assert isinstance(entries, list)
            yield from map(ListedTrial.model_validate, entries)


def _same(spec: TrialSpec, printed: Iterable[ListedTrial]) -> ListedTrial | None:
    """Returns the first printed trial with this method on this model."""
    config = spec.model.config()
    for trial in printed:
        on = trial.architecture
        if trial.method == spec.method and on is not None and architecture(on) == config:
            return trial
    return None


@dataclass(frozen=True)
class Counts:
    """What is counted of a trial."""

    base: int
    """Parameters of the model."""
    trainable: int
    """Trainable parameters."""
    adapter_bytes: int
    """Of the adapter's file."""
    optimizer_bytes: int
    """As :attr:`CountedTrial.optimizer_bytes`."""


class TrialCounter:
    """Counts trials; builds each model once, and each method on it once."""

    def __init__(self) -> None:
        self._models: dict[tuple[str, str], PreTrainedModel] = {}
        self._known: dict[tuple[str, str, str], Counts] = {}

    def base(self, spec: TrialSpec) -> int:
        """Returns the parameters of a trial's model.

        Raises:
            BadInputError: the model cannot be built.
        """
        return sum(parameter.numel() for parameter in self._model(spec).parameters())

    def count(self, spec: TrialSpec) -> Counts:
        """Returns the counts of a trial.

        Raises:
            BadInputError: the model cannot be built.
            CountError: a formula is not what was built.
        """
        on = _on(spec)
        key = (*on, spec.method.model_dump_json())
        if key not in self._known:
            self._known[key] = _checked(spec, self._model(spec))
            if spec.method.changes_base:
                # There are no values that could be put back.
                del self._models[on]
        return self._known[key]

    def trainable(self) -> dict[str, int]:
        """Returns the trainable parameters of the methods counted so far, by their JSON."""
        return {method: counts.trainable for (_, _, method), counts in self._known.items()}

    def _model(self, spec: TrialSpec) -> PreTrainedModel:
        on = _on(spec)
        if on not in self._models:
            dtype = DTYPES[spec.engine.precision]
            self._models[on] = skeleton(spec.model.config(), dtype=dtype)
        return self._models[on]


def _on(spec: TrialSpec) -> tuple[str, str]:
    """Returns what a trial's model is told by."""
    return spec.model.model_dump_json(), spec.engine.precision


def _checked(spec: TrialSpec, model: PreTrainedModel) -> Counts:
    kept = ModelSnapshot(model)
    try:
        counts = _measured(spec, model)
    finally:
        kept.restore()
    facts = spec.model.facts()
    expectations = [(f"the model {spec.model}", counts.base, facts.shape.total_parameters)]
    if facts.are_layers_alike and spec.method.is_counted_by_shape:
        formula = spec.method.count(facts.shape)
        expectations.append((f"the method {spec.method!r}", counts.trainable, formula))
    for what, found, expected in expectations:
        if found != expected:
            raise CountError(
                f"{what} has {found:,} parameters when built, but {expected:,} by its formula; "
                "both must be equal; correct the formula"
            )
    return counts


def _measured(spec: TrialSpec, model: PreTrainedModel) -> Counts:
    """Returns the counts of the model with the trial's adapter in it."""
    import torch

    base = sum(parameter.numel() for parameter in model.parameters())
    # Also what an adapter is made of gets no memory.
    with torch.device("meta"):
        adapted = spec.method.inject(model, seed=spec.train.seed)
    trainable = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    training = spec.method.training(adapted, steps=spec.train.steps)
    state = _optimizer_bytes(training, is_16_bit=spec.engine.precision != "fp32")
    # As DeepSpeed does when it starts, so that 16-bit adapters are saved.
    torch.nn.Module.to(adapted, getattr(torch, DTYPES[spec.engine.precision]))
    with training.finished():
        return Counts(base, trainable, adapter_bytes(adapted), state)


def _optimizer_bytes(training: Training, *, is_16_bit: bool) -> int:
    """Returns the bytes of the state of an AdamW that has stepped, and of the method's own."""
    import torch

    parameters = [p for group in training.groups() for p in group.parameters]
    # Parameters of one size have one state: without values there is nothing else to it.
    sizes = Counter(parameter.shape for parameter in parameters)
    found = training.state_elements() * torch.float32.itemsize
    for size, number in sizes.items():
        parameter = torch.nn.Parameter(torch.zeros(size, device="meta"))
        parameter.grad = torch.zeros_like(parameter)
        optimizer = torch.optim.AdamW([parameter])
        optimizer.step()
        state = optimizer.state[parameter]
        # A counter is no part of it: an engine keeps it once for many parameters.
        moments = sum(value.nbytes for name, value in state.items() if name != "step")
        master = parameter.nbytes if is_16_bit else 0
        found += number * (moments + master)
    return found
