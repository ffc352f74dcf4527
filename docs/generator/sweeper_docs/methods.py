"""The page on the methods: one table of all, and each one's fields."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from sweeper_docs.fields import section
from sweeper_docs.markdown import code, page, paragraphs, table
from sweeper_docs.project import SPACES, AnyMethodSpec, PeftSpec, draw_all, load_sweep, method_specs

__all__ = ["agreement", "methods_page"]

_HEADER = (
    "method",
    "source",
    "mergeable",
    "exports to LoRA",
    "needs task ids",
    "counts as published",
)
_FACTS: tuple[Callable[[AnyMethodSpec], bool], ...] = (
    lambda spec: spec.is_mergeable,
    lambda spec: spec.exports_lora,
    lambda spec: spec.needs_task_ids,
)
# What a fact hangs on, where it is not the same for all settings: fields to try, and what to say.
_NO_ROUTER = "With `router: none`, the default."
_ONE_TASK = "With `tasks: 1`, the default; with more, each example's task must be known."
_OTHERWISE: dict[str, tuple[dict[str, object], str]] = {
    "masa": ({"router": "softmax"}, _NO_ROUTER),
    "mae": ({"router": "softmax"}, _NO_ROUTER),
    "mtl_lora": ({"tasks": 2}, _ONE_TASK),
}
_MARKS = "¹²³⁴⁵"
_INTRODUCTION = """
`name` in a search space's `methods` names one of these, or [`peft`](#peft) with a `type`: any tuner
of PEFT. The facts hold with the defaults of a
method; a mark says on which setting one hangs. The last column counts the figures of `Params (%)`
that the MASA and the MoSA paper print of a method, and how many of them its count meets to the
last digit. A method without `rank_pattern` has [one rank for all
layers](../how-to/compare-methods-at-one-size.md#give-layers-ranks-of-their-own).
"""


def methods_page() -> str:
    """Returns the page."""
    specs = method_specs()
    met = agreement()
    notes: list[str] = []
    rows = [_row(name, spec(), met.get(name, []), notes) for name, spec in sorted(specs.items())]
    every = [is_met for found in met.values() for is_met in found]
    total = (
        f"{sum(every)} of {len(every)} published figures are met in all. "
        "`python -m sweeper params search_spaces/papers/masa_params.yaml` (and "
        "`mosa_params.yaml`) shows each one, and beside each that is not met the reason."
    )
    legend = "\n".join(f"- {_MARKS[position]} {note}" for position, note in enumerate(notes))
    return page(
        "Methods",
        _INTRODUCTION,
        "## All methods\n\n" + table(_HEADER, rows),
        legend,
        paragraphs(total),
        *(_section(name, spec) for name, spec in sorted(specs.items())),
        section("peft", PeftSpec, leaving_out={"name"}),
    )


def agreement() -> dict[str, list[bool]]:
    """Returns of each method whether it meets each figure that the papers print of it."""
    met: dict[str, list[bool]] = defaultdict(list)
    for path in sorted((SPACES / "papers").glob("*_params.yaml")):
        for drawn in draw_all(load_sweep(path)):
            listed = drawn.space.listed
            if listed is None or listed.published is None:
                continue
            shape = drawn.spec.model.shape()
            trained = drawn.spec.method.count(shape)
            percent = 100 * trained / (shape.total_parameters + trained)
            met[drawn.spec.method.name].append(listed.published.is_met_by(percent))
    return met


def _row(name: str, spec: AnyMethodSpec, met: list[bool], notes: list[str]) -> tuple[str, ...]:
    counts = f"{sum(met)} of {len(met)}" if met else "–"
    facts = [_fact(name, spec, fact, notes) for fact in _FACTS]
    return (f"[{code(name)}](#{name})", spec.source, *facts, counts)


def _fact(
    name: str, spec: AnyMethodSpec, fact: Callable[[AnyMethodSpec], bool], notes: list[str]
) -> str:
    word = "yes" if fact(spec) else "no"
    if name not in _OTHERWISE:
        return word
    changes, note = _OTHERWISE[name]
    if fact(type(spec).model_validate({**spec.model_dump(), **changes})) == fact(spec):
        return word
    if note not in notes:
        notes.append(note)
    return word + _MARKS[notes.index(note)]


def _section(name: str, spec: type[AnyMethodSpec]) -> str:
    sizes = " or ".join(map(code, (spec.size_field, *spec.size_fields)))
    note = f"Source: {spec.source}. A [budget](search-space.md#budget) sets {sizes}."
    return section(name, spec, note=paragraphs(note), leaving_out={"name"})
