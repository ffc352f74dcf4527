"""Profiles: what a search space is run on, as the tree below the search space's own fields."""

from __future__ import annotations

import re
from pathlib import Path

from sweeper._text import nearest, shorten
from sweeper.errors import Problem, SpecError
from sweeper.experiment.documents.packaged_spaces import find_packaged_folders, packaged_file
from sweeper.experiment.documents.tree import Document, Json, get_path, merge, merge_training
from sweeper.experiment.documents.yaml_files import is_file, read_yaml

__all__ = ["PROFILE_KEYS", "merge_profile", "over_profile", "read_profile"]

_DEFAULT = "embedded"
PROFILE_KEYS = ("model", "data", "engine", "resources")
"""What a profile says. A search space that has a profile cannot set it; one that has a model and
data of its own says all of it itself."""
_OWN = ("model", "data")
_NO_NAME = re.compile(r"[^A-Za-z0-9._-]+")


def merge_profile(document: Document, *, path: Path, profile: str | None = None) -> Document:
    """Returns the fields of a search space over those of its profile.

    Args:
        document: the search space.
        path: the search space's file.
        profile: name or path of a profile; the search space's own ``profile`` where None.

    Raises:
        SpecError: as of :func:`read_profile`.
    """
    return over_profile(document, read_profile(document, path=path, profile=profile))


def over_profile(document: Document, base: Document) -> Document:
    """Returns the fields of a search space over those of its profile, as it was read."""
    return _merge_whole(base, {**document, "profile": base["profile"]})


def read_profile(document: Document, *, path: Path, profile: str | None = None) -> Document:
    """Returns the fields of a search space's profile, its name as ``profile`` among them.

    A profile is looked for in the folder ``profiles`` beside the search space, in the one a level
    higher, and among those that come with the sweeper. A search space with a model and data of its
    own has none: the model's name stands for it then.

    Args:
        document: the search space.
        path: the search space's file.
        profile: name or path of a profile; the search space's own ``profile`` where None.

    Raises:
        SpecError: there is no such profile, it cannot be read, or the search space sets what
            belongs to a profile.
    """
    if all(key in document for key in _OWN):
        _require_alone(document, path, profile)
        return {"profile": _name_of(document["model"])}
    wanted = profile or document.get("profile") or _DEFAULT
    if not isinstance(wanted, str):
        message = f"got {shorten(wanted)}; give the name of a profile, or the path of its file"
        raise SpecError(str(path), [Problem("profile", message)])
    profile_path = _find_profile(path, wanted)
    base = _read_profile(profile_path)
    own = [key for key in PROFILE_KEYS if key in document]
    if own:
        message = (
            "belongs to a profile, not to a search space; move it, use --set, or give model and "
            "data both and no profile"
        )
        raise SpecError(str(path), [Problem(key, message) for key in own])
    name = base.pop("name", profile_path.stem)
    base.pop("description", None)
    return {**base, "profile": name}


def _name_of(model: Json) -> str:
    """Returns the last part of a model's name or path, as a part of a sweep's name."""
    named = (get_path(model, (key,)) for key in ("name", "path", "file", "kind"))
    text = next((x for x in named if isinstance(x, str) and x), "")
    return _NO_NAME.sub("-", Path(text).name).strip(".-") or "model"


def _require_alone(document: Document, path: Path, profile: str | None) -> None:
    """Raises SpecError where a search space with its own model and data has a profile, too."""
    given = profile or document.get("profile")
    if given is None:
        return
    message = (
        f"is {shorten(given)}, but the file says itself on what it runs (model and data); one of "
        "the two does; leave the profile out, or take model and data out of the file"
    )
    raise SpecError(str(path), [Problem("profile" if profile is None else "--profile", message)])


def _find_profile(space_path: Path, profile: str) -> Path:
    if Path(profile).suffix in {".yaml", ".yml"}:
        path = Path(profile)
        return path if is_file(path) else packaged_file(path) or path
    homes = (space_path.parent, space_path.parent.parent, *find_packaged_folders())
    folders = [home / "profiles" for home in homes]
    for folder in folders:
        if is_file(folder / f"{profile}.yaml"):
            return folder / f"{profile}.yaml"
    known = sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})
    name = shorten(repr(profile))
    message = f"no profile {name}; known: {', '.join(known)}{nearest(profile, known)}"
    raise SpecError("profile", [Problem("", message)])


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
    if not isinstance(extended, str) or not extended or Path(extended).name != extended:
        message = f"got {shorten(extended)}; give the name of a profile in the same folder"
        raise SpecError(str(path), [Problem("extends", message)])
    base = _read_profile(path.with_name(f"{extended}.yaml"), seen=(*seen, path))
    return _merge_whole(base, profile)


def _merge_whole(base: Document, over: Document) -> Document:
    """Returns the fields of one file over those of another."""
    merged, below, above = merge(base, over), base.get("train"), over.get("train")
    if isinstance(below, dict) and isinstance(above, dict):
        merged["train"] = merge_training(below, above)
    return merged
