"""From files to a checked sweep: every problem at once, nothing started before all is well."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError

from sweeper._text import nearest
from sweeper.errors import Problem, SpecError
from sweeper.experiment.documents import Document, apply_override, get_path, merge, read_yaml
from sweeper.experiment.problems import problems_of
from sweeper.experiment.space.space import Space
from sweeper.experiment.space_file import SPACE_KEYS, space_of
from sweeper.experiment.sweep import (
    Sweep,
    SweepSpec,
)
from sweeper_adapters.methods import EngineFacts

__all__ = ["build_sweep", "load_sweep", "only_runnable", "resolve_document"]

PROFILES = "profiles"


def load_sweep(path: Path, *, profile: str | None = None, overrides: Sequence[str] = ()) -> Sweep:
    """Returns the sweep that a search-space file describes.

    Args:
        path: the search-space file.
        profile: name or path of a profile; the file's own ``profile`` where None.
        overrides: ``path=value`` each, applied last.

    Raises:
        SpecError: with all problems found.
    """
    document = resolve_document(path, profile=profile, overrides=overrides)
    return build_sweep(document, source=f"{path} with profile {document['profile']}")


def resolve_document(
    path: Path, *, profile: str | None = None, overrides: Sequence[str] = ()
) -> Document:
    """Returns the file's fields over those of its profile, with the overrides applied."""
    document = read_yaml(path)
    chosen = profile or document.get("profile") or "embedded"
    profile_path = _find_profile(path, str(chosen))
    base = _read_profile(profile_path)
    own = [key for key in ("model", "data", "engine", "resources") if key in document]
    if own:
        message = "belongs to a profile, not to a search space; move it, or use --set"
        raise SpecError(str(path), [Problem(key, message) for key in own])
    name = base.pop("name", profile_path.stem)
    base.pop("description", None)
    document = merge(base, {**document, "profile": name})
    for override in overrides:
        document = apply_override(document, override)
    return document


def _read_profile(path: Path, *, seen: tuple[Path, ...] = ()) -> Document:
    """Returns a profile's fields over those of the one that it ``extends``."""
    profile = read_yaml(path)
    extended = profile.pop("extends", None)
    if extended is None:
        return profile
    if path in seen:
        chain = " extends ".join(p.stem for p in (*seen, path))
        message = f"extends itself: {chain}; the last one must extend none; remove one of them"
        raise SpecError(str(path), [Problem("extends", message)])
    base = _read_profile(path.with_name(f"{extended}.yaml"), seen=(*seen, path))
    return merge(base, profile)


def _find_profile(space: Path, profile: str) -> Path:
    if Path(profile).suffix in {".yaml", ".yml"}:
        return Path(profile)
    # The last one is in an installed wheel; in a checkout it is not there.
    packaged = Path(__file__).parent / "search_spaces"
    folders = [parent / PROFILES for parent in (space.parent, space.parent.parent, packaged)]
    for folder in folders:
        if (folder / f"{profile}.yaml").is_file():
            return folder / f"{profile}.yaml"
    known = sorted({p.stem for folder in folders for p in folder.glob("*.yaml")})
    message = f"no profile {profile!r}; known: {', '.join(known)}{nearest(profile, known)}"
    raise SpecError("profile", [Problem("", message)])


def build_sweep(document: Document, *, source: str) -> Sweep:
    """Returns the sweep of a resolved document.

    Raises:
        SpecError: with all problems found.
    """
    problems: list[Problem] = []
    spec: SweepSpec | None = None
    header = _header(document)
    try:
        spec = SweepSpec.model_validate(header)
    except ValidationError as error:
        problems += [_with_space_keys(problem, header) for problem in problems_of(error, SweepSpec)]
    space, found = space_of(document)
    problems += found
    if spec is not None and not problems:
        problems += _against_profile(space, has_gpu=spec.resources.gpus_per_worker > 0)
    if problems or spec is None:
        raise SpecError(source, _distinct(problems))
    return Sweep(spec, space, document)


def _header(document: Document) -> Document:
    """Returns what is not the space; a list of trials is run whole and without early stopping."""
    header = {key: value for key, value in document.items() if key not in SPACE_KEYS}
    trials, search = document.get("trials"), header.get("search", {})
    if isinstance(trials, list) and isinstance(search, dict):
        header["search"] = {"trials": max(1, len(trials)), "asha": None, **search}
    return header


def only_runnable(sweep: Sweep) -> tuple[Sweep, tuple[str, ...]]:
    """Returns what of a sweep the profile's model can run, and the listed trials left out.

    Left out are trials that are counted on another architecture, and those that another trial of
    the list repeats.

    Raises:
        SpecError: nothing is left.
    """
    model = sweep.spec.model
    kept: dict[str, str] = {}
    for method in sweep.space.methods:
        trial = sweep.space.trial({"method": method.name}) if method.listed else None
        if trial is not None and trial.model == model:
            kept.setdefault(trial.identity(), method.name)
    entries = sweep.document.get("trials")
    if not isinstance(entries, list):
        return sweep, ()
    names = [method.name for method in sweep.space.methods]
    if not kept:
        architectures = sorted({str(get_path(entry, ("architecture",))) for entry in entries})
        message = (
            f"none of the {len(names)} trials is on the model of profile {sweep.spec.profile}; "
            f"they are on {', '.join(architectures)}; take a profile of one of these"
        )
        raise SpecError("trials", [Problem("", message)])
    left_out = tuple(name for name in names if name not in kept.values())
    if not left_out:
        return sweep, ()
    entries = [entry for entry in entries if get_path(entry, ("name",)) in kept.values()]
    document = {**sweep.document, "trials": entries}
    return build_sweep(document, source="the trials that can be run"), left_out


def _with_space_keys(problem: Problem, header: Document) -> Problem:
    if problem.path not in header or not problem.message.startswith("unknown field"):
        return problem
    known = sorted([*SweepSpec.model_fields, *SPACE_KEYS])
    text = f"unknown field {problem.path!r}; known: {', '.join(known)}"
    return Problem(problem.path, text + nearest(problem.path, known))


def _against_profile(space: Space, *, has_gpu: bool) -> list[Problem]:
    """Returns what fits neither model nor engine, like sharing over more layers than there are."""
    problems: list[Problem] = []
    for _, point in space.corners():
        trial, place = space.trial(point), space.method(str(point["method"])).path
        shape = trial.model.shape()
        engine = EngineFacts(
            zero_stage=trial.engine.zero_stage,
            workers=trial.workers,
            precision=trial.engine.precision,
            has_gpu=has_gpu,
            batch_size=trial.train.batch_size,
        )
        found = [*trial.method.problems(shape), *trial.method.engine_problems(engine)]
        problems += [Problem(".".join((*place, field)), message) for field, message in found]
        if space.budget is not None:
            problems += [
                Problem(f"budget.{field}", message)
                for field, message in space.budget.problems(trial.method, shape)
            ]
    return problems


def _distinct(problems: Iterable[Problem]) -> list[Problem]:
    return list(dict.fromkeys(problems))
