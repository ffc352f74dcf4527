"""From a table of scores to conclusions."""

from __future__ import annotations

from dataclasses import replace

from sweeper.analysis.statistics.primitive import Components, components_of
from sweeper.analysis.statistics.table import ScoreTable
from sweeper.analysis.statistics.units import (
    adapter_names,
    as_adapters,
    by_unit,
    first_seeds,
    require_comparable,
    with_seeds,
)
from sweeper.analysis.statistics.verdicts.conclusions import (
    Conclusions,
    Reason,
    Silence,
    Statement,
)
from sweeper.analysis.statistics.verdicts.families import (
    ContrastQuestion,
    declared_contrasts,
    named,
)
from sweeper.analysis.statistics.verdicts.judging import Evidence
from sweeper.analysis.statistics.verdicts.peaks import peak_statements
from sweeper.analysis.statistics.verdicts.spec import (
    Best,
    ConclusionSpec,
    Factorial,
    Peaks,
    SizeTrend,
)
from sweeper.errors import BadInputError

__all__ = ["conclude"]

# Questions of a factor speak of configurations by their nature.
_OF_CONFIGURATIONS = (SizeTrend, Factorial, Peaks)


def conclude(
    table: ScoreTable, spec: ConclusionSpec, validation: ScoreTable | None = None
) -> Conclusions:
    """Returns what follows from a table of scores.

    Of a configuration with one seed nothing is said; where all have one, the questions are answered
    for the adapters that were trained.

    Args:
        table: Scores of every configuration on the same rows, as a rule those of test.
        spec: What is asked, declared before.
        validation: Scores by which the rate of a tuned method is chosen; needed for `Peaks`.

    Raises:
        BadInputError: The table is not one of comparable scores, `delta` is not positive, or a
            question lacks what it needs.
    """
    require_comparable(table)
    if not spec.delta > 0:
        raise BadInputError(
            f"delta: got {spec.delta:g}; the smallest difference of interest must be positive; "
            "give the difference below which you would not mind"
        )
    table, validation = by_unit(table), validation and by_unit(validation)
    if spec.look is not None:
        table = first_seeds(table, spec.look.seeds)
        validation = validation and first_seeds(validation, spec.look.seeds)
    spec = replace(spec, caveats=(*spec.caveats, *_failed_seeds(table)))
    found: list[Statement] = []
    if spec.claim == "configurations":
        kept = with_seeds(table, 2)
        of_adapters = tuple(e for e in spec.questions if not isinstance(e, _OF_CONFIGURATIONS))
        single = tuple(e.name for e in table.configurations if len(e.seeds) < 2)
        if single:
            reason: Reason = "one_seed"
            if not kept.configurations:
                reason = "all_one_seed" if of_adapters else "no_second_seed"
            found.append(Silence(reason, single))
        if kept.configurations:
            statements, components = _answers(kept, spec, validation)
            return Conclusions((*found, *statements), components)
        spec = replace(spec, claim="adapters", questions=of_adapters)
    adapters = as_adapters(table)
    statements, components = _answers(adapters, _of_adapters(spec, table), validation)
    return Conclusions((*found, *statements), components)


def _of_adapters(spec: ConclusionSpec, table: ScoreTable) -> ConclusionSpec:
    """Returns a spec in which the adapters of a configuration have its caveats and its size."""
    names = {each.name: adapter_names(each) for each in table.configurations}
    caveats = [
        (adapter, text) for name, text in spec.caveats for adapter in names.get(name, (name,))
    ]
    sizes = [(adapter, size) for name, size in spec.sizes for adapter in names.get(name, ())]
    return replace(spec, caveats=tuple(caveats), sizes=tuple(sizes))


def _failed_seeds(table: ScoreTable) -> list[tuple[str, str]]:
    """Returns a caveat for each configuration of which seeds gave no score."""
    return [
        (
            each.name,
            f"{len(each.failed_seeds)} of {len(each.seeds) + len(each.failed_seeds)} seeds of "
            f"{each.name} failed and {'is' if len(each.failed_seeds) == 1 else 'are'} left out",
        )
        for each in table.configurations
        if each.failed_seeds
    ]


def _answers(
    table: ScoreTable, spec: ConclusionSpec, validation: ScoreTable | None
) -> tuple[list[Statement], Components | None]:
    names = tuple(each.name for each in table.configurations)
    found: list[Statement] = []
    components = None
    contrasting = [each for each in spec.questions if not isinstance(each, Peaks)]
    if contrasting and len(names) < 2:
        found.append(Silence("too_few", names))
    elif contrasting:
        components = components_of(table, claim=spec.claim, rows=spec.rows)
        evidence = Evidence(spec, table.split, components)
        for question in contrasting:
            found += _statements(evidence, question)
    for tuned in spec.questions:
        if isinstance(tuned, Peaks):
            found += peak_statements(table, validation, tuned, spec)
    return found, components


def _statements(evidence: Evidence, question: Best | ContrastQuestion) -> list[Statement]:
    if isinstance(question, Best):
        return [evidence.best()]
    names = evidence.components.names
    missing = tuple(name for name in named(question) if name not in names)
    found: list[Statement] = [Silence("missing", missing)] if missing else []
    family, contrasts = declared_contrasts(question, names)
    if contrasts:
        found += evidence.judged(family, contrasts)
    elif not missing:
        found.append(Silence("too_few", named(question)))
    return found
