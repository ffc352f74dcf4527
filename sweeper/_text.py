"""Numbers, durations and parameters as the terminal shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

__all__ = [
    "bytes_text",
    "count",
    "duration",
    "guess",
    "is_number",
    "level_text",
    "nearest",
    "params_text",
    "shorten",
    "value_text",
    "varying",
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
    if isinstance(value, list | tuple):
        return ",".join(value_text(item, digits=digits) for item in value)
    if isinstance(value, Mapping):
        texts = (f"{name}:{value_text(item, digits=digits)}" for name, item in value.items())
        return ",".join(texts) or "none"
    return "none" if value is None else str(value)


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


def varying(trials: Iterable[Mapping[str, object]]) -> list[str]:
    """Returns the parameters in which trials differ, all where they do not.

    Lists are left out, and mappings in which they do not differ: they would fill a line each.
    """
    values: dict[str, set[str]] = {}
    mappings: set[str] = set()
    for params in trials:
        for name, value in params.items():
            if isinstance(value, Mapping):
                mappings.add(name)
            if not isinstance(value, list | tuple):
                values.setdefault(name, set()).add(str(value))
    differing = [name for name, found in values.items() if len(found) > 1]
    return differing or [name for name in values if name not in mappings]


def params_text(params: Mapping[str, object], names: Sequence[str]) -> str:
    """Returns ``rank=8 experts=5`` for those of the names that there are."""
    return " ".join(f"{name}={value_text(params[name])}" for name in names if name in params)


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
