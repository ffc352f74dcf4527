"""Methods of other packages: specs that are installed under an entry point of this one.

A package declares them in its ``pyproject.toml``::

    [project.entry-points."sweeper_adapters.methods"]
    scale = "my_package.scale:ScaleSpec"

They are then members of the union like any other, under the name of the entry point. One that
cannot be loaded is left out, and whoever names it is told why.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import get_args

from sweeper_adapters.methods._base import AnyMethodSpec

__all__ = ["GROUP", "describe_wrong", "load_others"]

GROUP = "sweeper_adapters.methods"
"""Name of the group of entry points."""


def load_others(
    taken: Collection[str], *, points: Iterable[EntryPoint] | None = None
) -> tuple[list[type[AnyMethodSpec]], dict[str, str]]:
    """Returns the specs that other packages have installed, and of each that is none the reason.

    Args:
        taken: names of the methods of this package.
        points: where they are; those of the installed packages where None.
    """
    found: dict[str, type[AnyMethodSpec]] = {}
    reasons: dict[str, str] = {}
    for point in entry_points(group=GROUP) if points is None else points:
        package = point.dist.name if point.dist is not None else point.value
        if point.name in taken or point.name in found:
            reasons[point.name] = f"package {package} brings a method of a name that is taken"
            continue
        try:
            kind = point.load()
            reason = describe_wrong(kind, name=point.name)
        except Exception as error:  # noqa: BLE001 - a package's code raises anything
            reason = f"{type(error).__name__}: {error}"
        if reason:
            reasons[point.name] = f"package {package} cannot bring it ({point.value}): {reason}"
        else:
            found[point.name] = kind
    return list(found.values()), reasons


def describe_wrong(kind: object, *, name: str | None = None) -> str:
    """Returns why an object is no method; an empty text where it is one.

    Args:
        kind: what a package or a file has in the place of a spec.
        name: of the method, as its entry point is called; whatever its own is where None.
    """
    if not isinstance(kind, type) or not issubclass(kind, AnyMethodSpec):
        return "it is no class made of MethodSpec"
    field = kind.model_fields.get("name")
    default = None if field is None else field.default
    if name is not None and default != name:
        return f"its field name must be Literal[{name!r}] = {name!r}, as the entry point is called"
    if field is None or get_args(field.annotation) != (default,) or not isinstance(default, str):
        return 'its field name must be a literal with its default, name: Literal["mine"] = "mine"'
    missing = sorted(getattr(kind, "__abstractmethods__", ()))
    return f"it lacks {', '.join(missing)}" if missing else ""
