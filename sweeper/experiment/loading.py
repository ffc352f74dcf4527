"""Reading a search space: the steps from a file to a checked sweep, in their order.

Each step is a function in a module below this one; it takes values and returns one. A step that
reads a document returns the problems, too, so that all are told at once, before anything starts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from sweeper._text import count, shorten
from sweeper.errors import Problem, SpecError
from sweeper.experiment.checks import check_combinations, check_fit, check_trials
from sweeper.experiment.confirm import check_confirm
from sweeper.experiment.design import DesignPlan
from sweeper.experiment.documents.callbacks import locate_callbacks, require_callbacks
from sweeper.experiment.documents.epoch_rows import count_epoch_rows
from sweeper.experiment.documents.open_fields import has_open_batch, with_single_rows
from sweeper.experiment.documents.overrides import apply_overrides
from sweeper.experiment.documents.packaged_spaces import packaged_file
from sweeper.experiment.documents.profiles import over_profile, read_profile
from sweeper.experiment.documents.tree import Document, get_path, set_path
from sweeper.experiment.documents.yaml_files import is_file, read_yaml
from sweeper.experiment.metrics import Mode, locate_functions, mode_of, own_modes
from sweeper.experiment.objective import describe_contrary
from sweeper.experiment.own_code import locate_methods
from sweeper.experiment.paper import on_profile
from sweeper.experiment.problems import problems_of
from sweeper.experiment.sections import (
    expand_design,
    read_baselines,
    read_budget,
    read_design,
    read_designed,
    read_header,
    read_methods,
    read_trials,
)
from sweeper.experiment.space.published_rates import warn_of_rates
from sweeper.experiment.space.rates import LogFactor, RatePrior, packaged_prior, resolve_factors
from sweeper.experiment.space.space import MethodSpace, Space
from sweeper.experiment.space.starts import with_starts
from sweeper.experiment.sweep import ShareSpec, Sweep, SweepSpec
from sweeper_adapters.methods import OwnMethodError

__all__ = ["build_sweep", "load_sweep"]

logger = logging.getLogger(__name__)


def load_sweep(
    path: Path,
    *,
    profile: str | None = None,
    overrides: Sequence[str] = (),
    make: Callable[[Document], Document] | None = None,
) -> Sweep:
    """Returns the sweep that a search-space file describes.

    Args:
        path: the search-space file; where there is none, a packaged one of this name is taken.
        profile: name or path of a profile; the file's own ``profile`` where None.
        overrides: ``path=value`` each, applied last.
        make: makes another search space of the file's, before its profile comes below it.

    Raises:
        SpecError: with all problems found.
    """
    if not is_file(path):
        path = packaged_file(path) or path
    document = locate_methods(read_yaml(path), path=path)
    base = read_profile(document, path=path, profile=profile)
    document = over_profile(document if make is None else make(document), base)
    document = on_profile(document, base)
    # An override addresses a method by its name, and may bring another one.
    document = locate_methods(apply_overrides(document, overrides), path=path)
    document = _with_changed(document, overrides)
    document = _with_rates(document, base, source=str(path))
    document = locate_functions(document, path=path)
    document = locate_callbacks(document, path=path)
    source = f"{path} with profile {document['profile']}"
    is_open = has_open_batch(document)
    document = with_single_rows(document, source=source)
    sweep = build_sweep(count_epoch_rows(document, source=source), source=source)
    sweep = replace(sweep, is_batch_open=is_open)
    require_callbacks(document)
    contrary = describe_contrary(sweep.spec.objective, own=own_modes(document))
    for warning in ([contrary] if contrary else []) + _warnings(sweep):
        logger.warning("%s", warning)
    return sweep


def _with_changed(document: Document, overrides: Sequence[str]) -> Document:
    """Returns the document of a paper's item with what is not as its file has it."""
    # Whether trials are taken over changes nothing that is trained.
    changed = [x for x in overrides if not x.startswith("fresh=")]
    if not isinstance(document.get("paper"), dict) or not changed:
        return document
    before = get_path(document, ("paper", "changed"))
    noted = [*(before if isinstance(before, list) else []), *changed]
    found = set_path(document, ("paper", "changed"), noted)
    assert isinstance(found, dict)
    return found


def _with_rates(document: Document, base: Document, *, source: str) -> Document:
    """Returns a document with learning rates in the place of factors of the profile's."""
    place = "train.learning_rate"
    try:
        return resolve_factors(document, rate=get_path(base, ("train", "learning_rate")))
    except ValidationError as error:
        raise SpecError(source, problems_of(error, LogFactor, under=place)) from error
    except ValueError as error:
        raise SpecError(source, [Problem(place, str(error))]) from error


def _warnings(sweep: Sweep) -> list[str]:
    found = [*warn_of_rates(sweep.space), *_early_ends(sweep.space)]
    found += [*_no_races(sweep), *_whole_races(sweep), *_moved_share(sweep)]
    return found + (_few_trials(sweep) if sweep.design is None else [*sweep.design.warnings()])


def _early_ends(space: Space) -> list[str]:
    """Returns a sentence where patience may end trials before their learning rate has fallen."""
    trains = [space.trial(point).train for _, point in space.corners()]
    schedules = sorted({x.schedule for x in trains if x.patience and x.schedule != "constant"})
    if not schedules:
        return []
    return [
        f"train.patience is set and train.schedule is {' and '.join(schedules)}, which stays laid "
        "out for all steps, so that a trial that ends early ends at a learning rate that is still "
        "high; set train.schedule=constant, or bear it in mind"
    ]


def _no_races(sweep: Sweep) -> list[str]:
    """Returns a sentence where races would begin after the last evaluation of a trial."""
    search, evaluations = sweep.spec.search, sweep.space.any_trial().train.evaluations
    if search.stop != "racing" or search.racing.grace <= evaluations:
        return []
    return [
        f"search.racing.grace is {search.racing.grace}, but a trial has {evaluations} evaluations "
        "(train.evaluations), so that no race is ever held and every trial is trained to its end; "
        f"set search.racing.grace to {evaluations} or less, or bear it in mind"
    ]


def _whole_races(sweep: Sweep) -> list[str]:
    """Returns a sentence where races ask all rows at once, so that they save none of them."""
    search, asked = sweep.spec.search, sweep.space.any_trial().train.eval_examples
    # A second block that would be smaller than the first is asked with it.
    if search.stop != "racing" or 2 * search.racing.rows <= asked:
        return []
    return [
        f"search.racing.rows is {search.racing.rows}, but an evaluation has {asked} validation "
        "rows at most (train.eval_examples), so that all of them are asked before a trial can be "
        "stopped and races save none; set train.eval_examples to "
        f"{2 * search.racing.rows} or more, or lower search.racing.rows, or bear it in mind"
    ]


def _moved_share(sweep: Sweep) -> list[str]:
    """Returns a sentence where trials are compared at another share than the one that is asked."""
    search, evaluations = sweep.spec.search, sweep.space.any_trial().train.evaluations
    asked, at = search.share.fraction, search.compared_at(evaluations)
    if search.stop != "share" or asked in (ShareSpec().fraction, at / evaluations):
        return []
    where = f"the nearest of a trial's {count(evaluations, 'evaluation')} (train.evaluations)"
    if at == evaluations:
        effect = f"{where} is the last one: every trial is trained to its end and none is stopped"
    else:
        taken = 100 * at / evaluations
        effect = f"trials are compared at {where}, number {at}, after {taken:.3g} % of their steps"
    return [
        f"search.share.fraction is {asked:g}, but {effect}; set another fraction, or more "
        "train.evaluations, or bear it in mind"
    ]


def _few_trials(sweep: Sweep) -> list[str]:
    trials, named = sweep.spec.search.trials, len(sweep.space.baselines)
    cells = sweep.space.cell_count
    if named + cells <= trials:
        return []
    listed = "trials" in sweep.document
    parts = [count(named, "trial" if listed else "baseline")] if named else []
    parts += [f"{cells:,} combinations of the grids"] if cells else []
    return [
        f"search.trials is {trials}, but the space has {' and '.join(parts)}; only the first "
        f"{trials} of these are tried; set search.trials to {named + cells}"
    ]


def build_sweep(document: Document, *, source: str, prior: RatePrior | None = None) -> Sweep:
    """Returns the sweep of a document that has its profile and its overrides.

    Args:
        document: as :func:`load_sweep` makes it, or as a sweep's own file keeps it.
        source: where the document is from, for the message.
        prior: what is expected of learning rates; that of the package where None.

    Raises:
        SpecError: with all problems found, or with a method of one's own that fails.
    """
    try:
        return _built(document, source=source, prior=prior or packaged_prior())
    except OwnMethodError as error:
        raise SpecError(source, [Problem("methods", str(error))]) from error


def _built(document: Document, *, source: str, prior: RatePrior) -> Sweep:
    design, problems = read_design(document)
    listed = document if design is None else expand_design(document, design)
    spec, found = read_header(listed)
    problems += found
    budget, found = read_budget(document)
    problems += found
    # What a design cannot be read from is told with it.
    is_unread = "design" in document and design is None
    methods, found = ((), []) if is_unread else _read_entries(listed, design)
    problems += found
    problems += check_trials(Space(methods, prior=prior), known=problems)
    baselines, found = ((), []) if is_unread else read_baselines(listed, methods)
    problems += found
    space = Space(methods, baselines, budget, prior=prior)
    if spec is not None and not problems:
        has_gpu = spec.resources.gpus_per_worker > 0
        problems += check_fit(space, has_gpu=has_gpu)
        problems += check_confirm(spec.search.confirm, space)
        problems += _check_sources(spec, space)
        problems += _check_final(spec, design, own_modes(document))
        # What is wrong by itself is wrong in each combination.
        problems += [] if problems else check_combinations(space, has_gpu=has_gpu)
    if spec is None or problems:
        # Points of a space have much in common, and so have their problems.
        raise SpecError(source, list(dict.fromkeys(problems)))
    return Sweep(spec, with_starts(space), document, design)


def _check_sources(spec: SweepSpec, space: Space) -> list[Problem]:
    """Returns a problem where earlier sweeps are named, and nothing is searched."""
    if not spec.search.sources or any(method.axes for method in space.methods):
        return []
    named = shorten(list(spec.search.sources))
    message = (
        f"names {named}, whose trials a search learns from, but this file searches nothing; it "
        "must have a method or a field with several values; leave search.from out"
    )
    return [Problem("search.from", message)]


def _check_final(
    spec: SweepSpec, design: DesignPlan | None, own: Mapping[str, Mode]
) -> list[Problem]:
    """Returns a problem where a metric of the end compares nothing, or has no better values."""
    metric = spec.final.metric
    if metric is None:
        return []
    message = ""
    if design is None:
        message = "a search compares its trials by the objective; set objective.metric, or leave "
    elif spec.final.split == "validation":
        message = "validation rows are compared by the objective; set final.split=test, or leave "
    elif mode_of(metric, own=own) is None:
        message = "it must say which values are better, as <metric> and <task>/<metric> do; leave "
    text = f"got {shorten(repr(metric))}; {message}final.metric out"
    return [Problem("final.metric", text)] if message else []


def _read_entries(
    document: Document, design: DesignPlan | None
) -> tuple[tuple[MethodSpace, ...], list[Problem]]:
    if design is not None:
        return read_designed(document, design)
    return read_trials(document) if "trials" in document else read_methods(document)
