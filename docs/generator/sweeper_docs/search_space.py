"""The page on the fields of a search-space file."""

from __future__ import annotations

from collections.abc import Iterator

from sweeper_docs.fields import section
from sweeper_docs.kinds import default_of, kind_of
from sweeper_docs.markdown import code, page, paragraphs, plain, table
from sweeper_docs.project import (
    BUDGETS,
    COMPARED_ALIKE,
    DISTRIBUTIONS,
    SPACE_KEYS,
    AshaSpec,
    ConfirmSpec,
    DesignSpec,
    EpochsSpec,
    EvaluationSpec,
    Factors,
    FinalSpec,
    GlobalBatchSpec,
    HygieneSpec,
    ListedTrial,
    LogFactor,
    NotifySpec,
    ObjectiveSpec,
    PaperProfile,
    PaperSpec,
    Published,
    PublishedRow,
    PublishedTable,
    PythonMetricSpec,
    RacingSpec,
    RateGrid,
    SearchSpec,
    ShareSpec,
    SweepSpec,
    TrainSpec,
    design_kinds,
)

__all__ = ["FROM_PROFILE", "search_space_page"]

FROM_PROFILE = ("model", "data", "engine", "resources")
"""Keys that belong to a profile, or to a search space that has no profile."""

_INTRODUCTION = """
A search-space file says what is searched. On what it is searched, a [profile](profile.md) says. A
file with `model` and `data` of its own is its own profile, and takes no other: `init` writes such a
file, and so does every sweep (`search_space.yaml` in its folder).
`--set path=value` sets any field of either from the command line; a method's field is
`methods.NAME.FIELD`. Unknown fields are refused, and all problems of a file are reported at once.
[How files are read](../explanation/yaml.md) has the rules of YAML that hold here.
"""
# Sections of the file that have no field of their own in a spec.
_SPACE_KEYS = {
    "methods": (
        "list of sections",
        "The [methods](methods.md), each with its `name` and its fields; one of "
        "[your own](../how-to/add-a-method.md) has `python: FILE.py:CLASS` in the place of `name`. "
        "Of several the method is searched, too. A [distribution](#distributions) may stand where "
        "a field stands.",
    ),
    "trials": (
        "list of sections",
        "Trials one by one in the place of `methods` and `baselines`; see [trials](#trials).",
    ),
    "design": (
        "section",
        "A comparison that is decided before it starts, in the place of `search`; see "
        "[design](#design).",
    ),
    "train": (
        "section",
        "How a trial is trained; see [train](#train). A [distribution](#distributions) may stand "
        "where a field stands.",
    ),
    "baselines": (
        "list of sections",
        "Trials that are run first; see [baselines](#baselines).",
    ),
    "budget": ("section", "The size that every trial is brought to; see [budget](#budget)."),
}
_DISTRIBUTIONS = """
A distribution stands where a field of a method or of `train` would stand, and names one of these.
"""
# Sections that no trial's identity has.
_OTHERS = (("final", FinalSpec), ("hygiene", HygieneSpec), ("notify", NotifySpec))
_PAPER = """
[How to run a paper's table](../how-to/run-a-papers-table.md) has an example. A sweep's own file
keeps the profile that it runs on, alone.
"""
_LINKS = {"factors": "[section](#factors)", "rates": "[section](#rates)"}
_SEARCH_LINKS = {
    "asha": "[section](#asha) or `null`",
    "share": "[section](#share)",
    "racing": "[section](#racing)",
    "confirm": "[section](#confirm) or `null`",
}
_BASELINES = """
A baseline is a point of the space: `{method: {name: masa, experts: 5}, train: {learning_rate:
1e-3}}`. The baselines are the first trials of a sweep and count as trials. What a baseline leaves
out is sampled. Its values must lie within the space, and a field that is not searched is refused.
`method.name` may be left out where there is one method.
"""
_BUDGET = """
A budget sets each method's size, so that methods can be compared. It has one of two forms. The
fields that it sets (`rank` for most methods, see [methods](methods.md)) must then be left out.
"""
_TRIALS = """
A file with `trials` has neither `methods` nor `baselines`, and nothing in it is searched. Every
listed trial is run to its end unless `search` says otherwise. `run` leaves out the trials that
are on another architecture than the profile's model.
"""
_RACING = """
What is said of a trial that has lost a race, and what is not: [racing](../explanation/racing.md).
"""
_DESIGN = """
A design lists its trials before anything starts: each configuration with each seed. All of them run
to their end, without early stopping, and all are evaluated on the split of `final`. It stands in
the place of `search`, and `kind` says which one it is. What is compared are the file's `methods`,
in which nothing is searched; `replicate` takes its `trials`. [How to run an
ablation](../how-to/run-an-ablation.md) has examples. All designs have these fields.
"""


def _open_fields() -> list[str]:
    """Returns the sections of fields that a file has and a trial has not."""
    return [
        section("epochs", EpochsSpec, level=3, defaults={"epoch_rows": "the data's"}),
        section("batch_size: auto", GlobalBatchSpec, level=3),
    ]


def search_space_page() -> str:
    """Returns the page."""
    alike = ", ".join(map(code, COMPARED_ALIKE))
    shared = (
        f"Trials are compared, so {alike} cannot be searched: they are one value for all trials."
    )
    return page(
        "Search spaces",
        _INTRODUCTION,
        "## Keys of the file\n\n" + _keys(),
        f"## Distributions\n\n{_DISTRIBUTIONS.strip()}",
        *(section(name, spec, level=3) for name, spec in DISTRIBUTIONS.items()),
        section("logfactor", LogFactor, level=3),
        section("train", TrainSpec, note=paragraphs(shared)),
        *_open_fields(),
        f"## baselines\n\n{_BASELINES.strip()}",
        f"## budget\n\n{_BUDGET.strip()}",
        *(section(name, spec, level=3) for name, spec in BUDGETS.items()),
        section(
            "trials",
            ListedTrial,
            note=_TRIALS.strip(),
            links={
                "method": "section, a [method](methods.md)",
                "published": "[section](#published) or `null`",
            },
        ),
        section("published", Published, level=3),
        *_design_sections(),
        section("objective", ObjectiveSpec, defaults={"mode": "the metric's"}),
        section("search", SearchSpec, links=_SEARCH_LINKS),
        *_stopping_sections(),
        section("confirm", ConfirmSpec, level=3),
        section(
            "evaluation",
            EvaluationSpec,
            links={"metrics": "list of texts, or of sections of a [function](#function)"},
        ),
        section("function", PythonMetricSpec, level=3, defaults={"name": "the function's"}),
        *(section(*found) for found in _OTHERS),
        *_paper_sections(),
    )


def _paper_sections() -> Iterator[str]:
    """Yields the section on a paper's item, and those on what it holds."""
    links = {
        "profiles": "mapping from profile to [section](#profile-of-a-paper)",
        "published": "[section](#published-of-a-paper) or `null`",
    }
    yield section("paper", PaperSpec, note=_PAPER.strip(), links=links)
    yield section("profile of a paper", PaperProfile, level=3)
    rows = {"rows": "list of [sections](#row-of-a-paper), 2 or more"}
    yield section("published of a paper", PublishedTable, level=3, links=rows)
    yield section("row of a paper", PublishedRow, level=3)


def _stopping_sections() -> Iterator[str]:
    """Yields the sections on what ends the trials of a search early."""
    yield section("asha", AshaSpec, level=3)
    yield section("share", ShareSpec, level=3)
    yield section("racing", RacingSpec, level=3, note=_RACING.strip())


def _design_sections() -> Iterator[str]:
    """Yields the section on designs, one on each kind, and those on what they share."""
    yield section(
        "design",
        DesignSpec,
        note=_DESIGN.strip(),
        links={"seeds": "whole number, at least 1, or `3/5/10`"},
        defaults={"seeds": "`5`"},
    )
    for name, spec in design_kinds().items():
        yield section(
            name,
            spec,
            level=3,
            leaving_out=DesignSpec.model_fields,
            links=_LINKS,
            defaults={"factors": "required"},
        )
    yield section("factors", Factors, level=3)
    yield section("rates", RateGrid, level=3)


def _keys() -> str:
    rows = []
    for name, field in SweepSpec.model_fields.items():
        if name in FROM_PROFILE:
            continue
        kind = kind_of(field)
        if kind == "section":
            kind = f"[section](#{name})"
        # Where none is named, the profile of the embedded model is taken.
        default = code("embedded") if name == "profile" else default_of(field)
        rows.append((code(name), kind, default, plain(field.description)))
    for name in SPACE_KEYS:
        kind, meaning = _SPACE_KEYS[name]
        default = "required, or `trials`" if name == "methods" else "–"
        rows.append((code(name), kind, default, meaning))
    return table(("key", "takes", "default", "meaning"), rows)
