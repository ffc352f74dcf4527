"""A comparison of methods made of any search space: what ``compare`` runs.

The search space says on what is compared (model, data, training) and, where it has them, the fields
of the methods that are not searched. What it would search is dropped: a comparison gives every
method the same rates, seeds, size and scale.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from sweeper._text import is_number, nearest, shorten
from sweeper.errors import Problem, SpecError
from sweeper.experiment.design.arms import Arm, control_of
from sweeper.experiment.design.paired import least_count
from sweeper.experiment.documents.tree import Document, Json, get_path
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.sections.design import RUN_FIELDS
from sweeper.experiment.sections.distributions import find_distributions
from sweeper.experiment.space.budget import fields_set_by
from sweeper.experiment.sweep import Sweep
from sweeper_adapters.methods import LoraSpec, Method, kind_of, label_of

__all__ = ["Comparison", "comparison_of", "dropped_fields", "load_comparison", "require_used"]

_UNION, *_ = get_args(Method)
_METHODS = [str(kind.model_fields["name"].default) for kind in get_args(_UNION)]
_RATES = "--rates is LOW,HIGH or LOW,HIGH,COUNT, such as 1e-4,3e-2,8"
_MOST_DIGITS = 9
# Sections of a search that a comparison has no use for.
_OVER = {
    *("methods", "trials", "design", "baselines", "search", "budget", "train", "final", "name"),
    # What a paper compared is another comparison.
    "paper",
}


@dataclass(frozen=True)
class Comparison:
    """What is asked for."""

    methods: tuple[str, ...]
    """Names of the methods; those of the file where there are none."""
    seeds: str
    """How many, or the looks ``3/5/10``."""
    delta: float | None = None
    """Smallest difference of interest; the file's, or the default, where None."""
    rates: str | None = None
    """``LOW,HIGH`` or ``LOW,HIGH,COUNT``; those of the file where None."""

    @classmethod
    def read(
        cls, *, methods: str | None, seeds: str, delta: float | None, rates: str | None
    ) -> Comparison:
        """Returns what the options of the command say.

        Args:
            methods: names with commas between them; None for those of the file.
            seeds: as in a design.
            delta: as in a design.
            rates: as in :attr:`rates`.
        """
        names = [name.strip() for name in (methods or "").split(",")]
        return cls(tuple(name for name in names if name), seeds, delta, rates)


def load_comparison(
    path: Path,
    asked: Comparison,
    *,
    profile: str | None = None,
    overrides: Sequence[str] = (),
) -> tuple[Sweep, tuple[str, ...]]:
    """Returns the sweep that compares methods on a search space, and what it does not take over.

    Args:
        path: the search-space file, as in :func:`load_sweep`.
        asked: what is compared, and how.
        profile: as in :func:`load_sweep`.
        overrides: ``path=value`` each, of fields of the comparison.

    Raises:
        SpecError: with all problems found.
    """
    dropped: list[str] = []

    def make(document: Document) -> Document:
        made = comparison_of(document, asked)
        require_used(made, overrides)
        dropped.extend(dropped_fields(document, made))
        return made

    sweep = load_sweep(path, profile=profile, overrides=overrides, make=make)
    return sweep, tuple(dropped)


def comparison_of(document: Document, asked: Comparison) -> Document:
    """Returns the search space of a comparison.

    One size for all methods (the file's budget, else that of its LoRA, else LoRA of rank 8), one
    alpha for each rank, and a ``paired`` design.

    Args:
        document: a search space, before its profile comes below it.
        asked: what is compared, and how.

    Raises:
        SpecError: a method is unknown, or the rates cannot be read.
    """
    entries = _entries(document)
    names = asked.methods or tuple(entries)
    _require_methods(names, known=[*_METHODS, *(x for x in entries if x not in _METHODS)])
    budget = _budget(document, entries)
    targets = _common_targets(entries)
    methods = [
        _method(name, entries.get(name, {}), budget, targets) for name in dict.fromkeys(names)
    ]
    methods = _without_owed(methods, known=entries)
    train = document.get("train")
    fields = train if isinstance(train, dict) else {}
    searched = _searched("train", fields)
    name = str(document.get("name", "space"))
    final = document.get("final")
    rest = {key: value for key, value in document.items() if key not in _OVER}
    rest |= _running(document)
    if isinstance(final, dict):
        rest["final"] = {key: value for key, value in final.items() if key != "trials"}
    return {
        **{key: rest.pop(key) for key in ("profile", "model", "data") if key in rest},
        "name": name if name.endswith("compare") else f"{name}-compare",
        **rest,
        "description": f"{', '.join(names)} at one size, each at its own best learning rate",
        "budget": budget,
        "methods": [*methods],
        "train": {key: value for key, value in fields.items() if key not in searched},
        "design": _design(document, asked),
    }


def dropped_fields(document: Document, made: Document) -> tuple[str, ...]:
    """Returns what a file searches and its comparison leaves at the default, such as masa.experts.

    Args:
        document: the search space; of listed trials all that they set is named but their rates.
        made: what :func:`comparison_of` made of it.
    """
    found: list[str] = []
    methods, train = made["methods"], document.get("train")
    entries = _entries(document)
    for entry in methods if isinstance(methods, list) else []:
        name = label_of(entry) if isinstance(entry, dict) else ""
        sized = fields_set_by(made["budget"], entry)
        own = _searched("method", entries.get(name, {}))
        found += [f"{name}.{field}" for field in own if field not in sized]
    found += _of_trials(document, made["budget"])
    others = _searched("train", train) if isinstance(train, dict) else []
    return (*found, *(f"train.{field}" for field in others if field != "learning_rate"))


def require_used(made: Document, overrides: Sequence[str]) -> None:
    """Looks whether the overrides change anything of a comparison.

    Args:
        made: what :func:`comparison_of` made.
        overrides: ``path=value`` each.

    Raises:
        SpecError: the learning rate is set, but rates are given that do not follow from it.
    """
    place = "train.learning_rate"
    is_set = any(text.partition("=")[0].strip() == place for text in overrides)
    rates = get_path(made, ("design", "rates"))
    if is_set and isinstance(rates, dict) and "logfactor" not in rates:
        ends = f"{rates.get('low')} to {rates.get('high')}"
        message = (
            f"is set, but a comparison tries the rates of its grid ({ends}), and this one would "
            "change nothing; give --rates LOW,HIGH instead"
        )
        raise SpecError("compare", [Problem(f"--set {place}", message)])


def _running(document: Document) -> Document:
    """Returns what a search says of how trials are run, as a section of its own."""
    search = document.get("search")
    fields = search if isinstance(search, dict) else {}
    kept = {key: fields[key] for key in RUN_FIELDS if key in fields}
    return {"search": kept} if kept else {}


def _of_trials(document: Document, budget: Json) -> Iterator[str]:
    """Yields what listed trials set, but for their rates and what the budget sets."""
    trials = document.get("trials")
    for entry in trials if isinstance(trials, list) else []:
        for section in ("method", "train"):
            fields = get_path(entry, (section,))
            own = fields if isinstance(fields, dict) else {}
            whole = own if section == "method" else {}
            sized = fields_set_by(budget, whole) if whole else ()
            left_out = {"learning_rate", *_naming(whole), *sized}
            name = get_path(entry, ("name",))
            yield from (f"trials.{name}.{section}.{key}" for key in own if key not in left_out)


def _entries(document: Document) -> dict[str, Document]:
    """Returns the file's methods by name; of listed trials each method once, without its fields."""
    methods, trials = document.get("methods"), document.get("trials")
    found: dict[str, Document] = {}
    for entry in methods if isinstance(methods, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            found.setdefault(label_of(entry), entry)
    for entry in trials if isinstance(trials, list) else []:
        method = get_path(entry, ("method",))
        if isinstance(method, dict) and isinstance(method.get("name"), str):
            found.setdefault(label_of(method), _naming(method))
    return found


def _naming(method: Document) -> Document:
    """Returns the fields of a method that say which one it is, such as its file."""
    kind = kind_of(method)
    labels = ("name",) if kind is None else kind.label_fields
    return {key: method[key] for key in labels if key in method}


def _require_methods(names: Sequence[str], *, known: Sequence[str]) -> None:
    problems = [
        Problem(
            "--methods",
            f"unknown method {shorten(repr(name))}; known: {', '.join(known)}"
            f"{nearest(name, list(known))}",
        )
        for name in names
        if name not in known
    ]
    if not names:
        problems = [
            Problem("--methods", "got none, and the file has none; give two or more, with commas")
        ]
    if problems:
        raise SpecError("compare", problems)


def _budget(document: Document, entries: Mapping[str, Document]) -> Json:
    """Returns the size that all methods get: the file's budget, else that of its LoRA.

    The layers that LoRA is counted on are the same for all methods, also for one that adapts fewer.
    """
    given = document.get("budget")
    if given is not None and not isinstance(given, dict):
        # What is wrong with it is told when the document is read.
        return given
    lora = entries.get("lora", {})
    rank, alpha = (_fixed(lora, field) for field in ("rank", "alpha"))
    usual = LoraSpec()
    rank = usual.rank if rank is None else rank
    found: Document = dict(given) if given else {"match": "lora", "rank": rank}
    if "match" in found and found.get("targets") is None:
        found["targets"] = [*(_common_targets(entries) or usual.targets)]
    if found.get("alpha_per_rank") is None:
        own = alpha is not None and _fixed(lora, "rank") is not None
        scale = alpha / rank if own and alpha is not None else usual.alpha / usual.rank
        found["alpha_per_rank"] = float(f"{scale:.6g}")
    return found


def _fixed(entry: Mapping[str, Json], field: str) -> int | float | None:
    value = entry.get(field)
    is_whole = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_whole and value > 0 else None  # type: ignore[operator,return-value]


def _common_targets(entries: Mapping[str, Document]) -> list[Json] | None:
    """Returns the layers that the file's methods adapt, where it says so and is of one mind."""
    given = [x["targets"] for x in entries.values() if isinstance(x.get("targets"), list)]
    first = given[0] if given else None
    return first if isinstance(first, list) and all(x == first for x in given) else None


def _method(name: str, entry: Document, budget: Json, targets: list[Json] | None) -> Document:
    """Returns a method with what the file fixes of it; what is searched or sized is left out."""
    whole = {"name": name, **entry}
    left_out = {*_searched("method", entry), *fields_set_by(budget, whole)}
    found = {key: value for key, value in entry.items() if key not in left_out}
    kind = kind_of(whole)
    if targets is not None and kind is not None and "targets" in kind.model_fields:
        found.setdefault("targets", targets)
    return {"name": name, **found}


def _without_owed(methods: Sequence[Document], *, known: Collection[str]) -> list[Document]:
    """Returns the methods without control arms that others owe and the file does not have.

    The design adds them in the shape of their method, whatever that is set to.
    """
    arms = [Arm(str(method["name"]), {"method": method}) for method in methods]
    owed = {found.name for arm in arms if (found := control_of(arm, is_sized=True)) is not None}
    return [x for x in methods if x["name"] not in owed or x["name"] in known]


def _searched(section: str, fields: Document) -> list[str]:
    """Returns the fields of a section that the file searches, factors of a rate among them."""
    found = [field for (_, field), _ in find_distributions({section: fields})]
    rate = fields.get("learning_rate")
    is_relative = isinstance(rate, dict) and "logfactor" in rate
    return [*found, "learning_rate"] if is_relative else found


def _design(document: Document, asked: Comparison) -> Document:
    given = document.get("design")
    of_file = given if isinstance(given, dict) and given.get("kind") == "paired" else {}
    design: Document = {"kind": "paired", "seeds": _seeds(asked.seeds)}
    for key in ("first_seed", "control"):
        if key in of_file:
            design[key] = of_file[key]
    delta = of_file.get("delta") if asked.delta is None else asked.delta
    if delta is not None:
        design["delta"] = delta
    rates = _read_rates(asked.rates) if asked.rates else of_file.get("rates")
    rates = rates or _rates_of(get_path(document, ("train", "learning_rate")))
    if rates is not None:
        design["rates"] = rates
    return design


def _seeds(text: str) -> Json:
    return int(text) if _is_count(text) else text


def _is_count(text: str) -> bool:
    # Python reads no number of thousands of digits.
    return text.isdecimal() and len(text) <= _MOST_DIGITS


def _read_rates(text: str) -> Document:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) not in (2, 3) or not all(is_number(part) for part in parts):
        raise SpecError("compare", [Problem("--rates", f"got {shorten(repr(text))}; {_RATES}")])
    low, high = float(parts[0]), float(parts[1])
    if not 0 < low < high <= 10:
        message = f"got {shorten(repr(text))}; low is above 0, below high, and high at most 10"
        raise SpecError("compare", [Problem("--rates", f"{message}; {_RATES}")])
    if len(parts) == 2:
        return {"low": low, "high": high, "count": least_count(low, high)}
    if not _is_count(parts[2]):
        message = (
            f"got {shorten(repr(parts[2]))} rates; it is a whole number below a billion; {_RATES}"
        )
        raise SpecError("compare", [Problem("--rates", message)])
    return {"low": low, "high": high, "count": int(parts[2])}


def _rates_of(rate: Json) -> Document | None:
    """Returns the rates that a file searches as a grid; None where it searches none."""
    if not isinstance(rate, dict):
        return None
    relative = _ends(rate.get("logfactor"))
    if relative is not None:
        return {"logfactor": [*relative], "count": least_count(*relative)}
    for kind in ("loguniform", "uniform", "grid", "choice"):
        ends = _ends(rate.get(kind))
        if ends is not None:
            return {"low": ends[0], "high": ends[1], "count": least_count(*ends)}
    return None


def _ends(values: Json) -> tuple[float, float] | None:
    """Returns the lowest and the highest of several numbers above 0."""
    numbers = list(_numbers(values)) if isinstance(values, list) else []
    low, high = (min(numbers), max(numbers)) if numbers else (0.0, 0.0)
    return (low, high) if 0 < low < high else None


def _numbers(values: Sequence[Json]) -> Iterator[float]:
    for value in values:
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield float(value)
