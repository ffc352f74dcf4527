"""Numbers, durations and parameters as the terminal shows them."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

__all__ = [
    "bytes_text",
    "count",
    "differing",
    "duration",
    "guess",
    "is_number",
    "level_text",
    "listed",
    "nearest",
    "params_text",
    "shorten",
    "size_of",
    "value_text",
    "varying",
    "written",
]


def duration(seconds: float) -> str:
    """Returns ``4.2 s``, ``3 min 05 s`` or ``2 h 07 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def is_number(text: str) -> bool:
    """Returns whether Python reads a text as a number, ``nan`` and ``inf`` among them."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def bytes_text(number: float) -> str:
    """Returns ``12 B``, ``3.46 MB`` or ``1.2 TB``."""
    for unit in ("B", "KB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:,.3g} TB"


_UNITS = {
    unit: factor**power
    for factor, ending in ((1000, "B"), (1024, "iB"))
    for power, letter in enumerate("KMGT", start=1)
    for unit in (f"{letter}{ending}",)
}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]+)")


def size_of(text: str) -> int | None:
    """Returns the bytes of ``22GiB``, ``22 GB`` or ``512MiB``; None where it is no such size.

    A unit is needed: KB, MB, GB, TB of 1000, or KiB, MiB, GiB, TiB of 1024.
    """
    found = _SIZE.fullmatch(text.strip())
    unit = None if found is None else _UNITS.get(found[2])
    size = 0.0 if found is None or unit is None else float(found[1]) * unit
    return None if found is None or unit is None or math.isinf(size) else round(size)


def count(number: int, noun: str) -> str:
    """Returns ``1 trial`` or ``2 trials``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def value_text(value: object, *, digits: int = 3) -> str:
    """Returns a parameter's value, integers whole.

    Args:
        value: of the parameter.
        digits: of other numbers.
    """
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    if isinstance(value, list | tuple) and value:
        return ",".join(value_text(item, digits=digits) for item in value)
    if isinstance(value, Mapping) and value:
        return ",".join(f"{name}:{value_text(item, digits=digits)}" for name, item in value.items())
    return "none" if value in (None, [], (), {}) else str(value)


def written(value: object) -> str:
    """Returns a value of a file as Python writes it, with the file's own word for none.

    Args:
        value: as it was read: a text, a number, a truth value, a list or a mapping of these.
    """
    if isinstance(value, list | tuple):
        ends = "[]" if isinstance(value, list) else "()"
        return f"{ends[0]}{', '.join(map(written, value))}{ends[1]}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name!r}: {written(item)}" for name, item in value.items()) + "}"
    return "null" if value is None else repr(value)


def level_text(value: object) -> str:
    """Returns a value of a factor, with all its digits: configurations are told apart by them."""
    return value_text(value, digits=15)


def shorten(value: object, *, limit: int = 200) -> str:
    """Returns a value as one line of at most ``limit`` characters, for a message.

    What is cut out of the middle is replaced by ``…``: both ends of a path or an error tell most.

    Args:
        value: anything; whoever wants quotes around a text passes its ``repr``.
        limit: most characters, at least 3.
    """
    text = " ".join(str(value).split())
    if len(text) <= limit:
        return text
    head = limit * 2 // 3
    return f"{text[:head]}…{text[len(text) - (limit - head - 1) :]}"


def listed(names: Sequence[str], *, most: int, is_counted: bool = False) -> str:
    """Returns ``a, b, …``, the first of some names.

    Args:
        names: what is listed.
        most: names that are listed.
        is_counted: whether the others are counted, as in ``a, b and 3 more``.
    """
    others = len(names) - most
    rest = f" and {others} more" if is_counted else ", …"
    return ", ".join(names[:most]) + (rest if others > 0 else "")


def differing(trials: Iterable[Mapping[str, object]]) -> list[str]:
    """Returns the parameters in which trials differ, without lists: those follow the method."""
    values, long = _values(trials)
    return [name for name, found in values.items() if len(found) > 1 and name not in long]


def varying(trials: Iterable[Mapping[str, object]]) -> list[str]:
    """Returns the parameters in which trials differ, all where they do not.

    Lists and mappings come last: they are long. They are left out where they are the same for all
    trials of each ``method``, whose default they may be.
    """
    values, long = _values(trials)
    found = [name for name, texts in values.items() if len(texts) > 1]
    found = [name for name in found if name not in long or long[name]]
    return sorted(found, key=long.__contains__) or [name for name in values if name not in long]


_LONG = (list, tuple, dict)


def _values(
    trials: Iterable[Mapping[str, object]],
) -> tuple[dict[str, set[str]], dict[str, bool]]:
    """Returns each parameter's values as texts, and which are lists: whether a method's differ."""
    of_method: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    long: set[str] = set()
    for params in trials:
        method = str(params.get("method"))
        for name, value in params.items():
            of_method[name][method].add(str(value))
            if isinstance(value, _LONG):
                long.add(name)
    values = {name: set[str]().union(*own.values()) for name, own in of_method.items()}
    return values, {name: max(map(len, of_method[name].values())) > 1 for name in long}


def params_text(params: Mapping[str, object], names: Sequence[str]) -> str:
    """Returns ``rank=8 experts=5`` for those of the names that there are.

    A design's configuration comes first, by its name. What the name says is not said again.
    """
    there = [name for name in names if name in params and name != "configuration"]
    configuration = (
        str(params["configuration"])
        if "configuration" in names and params.get("configuration")
        else ""
    )
    said = configuration.split(", ")
    shown = [
        f"{name}={value_text(params[name])}"
        for name in there
        if f"{name}={level_text(params[name])}" not in said
    ]
    return " ".join([configuration, *shown] if configuration else shown)


def nearest(name: str, known: list[str]) -> str:
    """Returns ``; did you mean 'x'?`` for the known name nearest to ``name``, or nothing."""
    hint = guess(name, known)
    return f"; {hint}" if hint else ""


def guess(
    name: str, known: Iterable[str], *, otherwise: str = "", most: int = 1, cutoff: float = 0.5
) -> str:
    """Returns ``did you mean 'x' or 'y'?`` for the known names that are near to ``name``.

    Args:
        name: that nobody knows, or that does not do; it is not offered itself.
        known: the names that there are.
        otherwise: returned where none is near.
        most: names that are offered at most, at least 1.
        cutoff: how alike a name must be, from 0 to 1 (``difflib``).
    """
    others = [other for other in known if other != name]
    near = get_close_matches(name, others, n=most, cutoff=cutoff)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else otherwise
