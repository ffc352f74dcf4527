"""By what methods multiply their updates, and whether it is the same for all."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from sweeper._text import listed
from sweeper_adapters.methods import AnyMethodSpec

__all__ = ["SharedScale", "shared_scale"]

# Alphas are written with six digits, and rounded to whole ones where PEFT's are.
_SAME = 1e-4
# A line lists so many names before it only says that there are more.
_listed = partial(listed, most=8)


@dataclass(frozen=True)
class SharedScale:
    """Whether methods have one scale."""

    text: str
    """What was found: ``alpha / rank 2 for all``."""
    holds: bool
    """Whether all that have a scale have the same."""
    names: tuple[str, ...] = ()
    """Those that have another scale than most."""


def shared_scale(methods: Sequence[tuple[str, AnyMethodSpec]]) -> SharedScale | None:
    """Returns whether methods share the scale of their updates; None where none has one.

    It is alpha divided by the rank, or by the rank's square root where the method is told so.

    Args:
        methods: by the name that each is called; a name may come several times.
    """
    found: dict[str, list[float]] = {}
    for name, method in methods:
        scale = method.update_scale()
        found.setdefault(name, [])
        if scale is not None and not any(_is_same(scale, known) for known in found[name]):
            found[name].append(scale)
    scaled = {name: tuple(sorted(scales)) for name, scales in found.items() if scales}
    if not scaled:
        return None
    bare = [name for name in found if name not in scaled]
    without = f"; {_listed(bare)} {'has' if len(bare) == 1 else 'have'} none" if bare else ""
    usual = _usual(scaled)
    others = tuple(name for name, own in scaled.items() if not all(_is_same(x, usual) for x in own))
    is_rooted = any(method.update_scale() != method.alpha_per_rank() for _, method in methods)
    rule = "alpha / rank"
    if is_rooted:
        rule = "alpha / rank, or alpha / sqrt(rank) where a method asks for it,"
    if not others:
        all_of = "all that have one" if bare else "all"
        return SharedScale(f"{rule} {usual:.4g} for {all_of}{without}", holds=True)
    each = [f"{name} {_values(own)}" for name, own in scaled.items()]
    return SharedScale(f"{rule} differs: {_listed(each)}{without}", holds=False, names=others)


def _usual(scaled: Mapping[str, Sequence[float]]) -> float:
    """Returns the scale that most have; of as many the first one."""
    counts = Counter(float(f"{x:.4g}") for own in scaled.values() for x in own)
    rounded = counts.most_common(1)[0][0]
    every = [x for own in scaled.values() for x in own]
    return next(x for x in every if float(f"{x:.4g}") == rounded)


def _values(scales: Sequence[float]) -> str:
    """Returns the scales of one name, its ends where they are more than two."""
    ends = [f"{x:.4g}" for x in (scales[0], scales[-1])]
    if len(scales) == 1:
        return ends[0]
    return f" {'to' if len(scales) > 2 else 'and'} ".join(ends)


def _is_same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=_SAME)
