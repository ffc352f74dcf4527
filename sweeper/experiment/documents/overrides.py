"""``--set path=value``: one place of a document gets another value."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sweeper._text import nearest, shorten
from sweeper.errors import Problem, SpecError
from sweeper.experiment.documents.tree import (
    Document,
    Json,
    get_path,
    merge_training,
    position_in,
    set_path,
)
from sweeper.experiment.documents.yaml_files import parse_yaml
from sweeper_adapters.methods import label_of

__all__ = ["apply_overrides"]


def apply_overrides(document: Document, overrides: Iterable[str]) -> Document:
    """Returns ``document`` with each ``path=value`` applied in turn; a value is read as YAML.

    ``methods`` is addressed by the method's name (``methods.masa.rank=4``) or position
    (``methods.0.rank=4``), ``trials`` by the trial's. An override wins over the baselines too: they
    lose their own value of that field. Where the data is another, the rows of an epoch are counted
    anew.

    Raises:
        SpecError: there is no ``=``, or the path is empty or leads to no entry.
    """
    given = list(overrides)
    for override in given:
        document = _apply(document, override)
    fields = {override.partition("=")[0].strip() for override in given}
    if "train.epoch_rows" in fields or not any(x.split(".")[0] == "data" for x in fields):
        return document
    return _without_epoch_rows(document)


def _without_epoch_rows(document: Document) -> Document:
    """Returns a document without the count of the rows of other data."""
    train = document.get("train")
    if not isinstance(train, dict) or "epoch_rows" not in train:
        return document
    return {**document, "train": {key: x for key, x in train.items() if key != "epoch_rows"}}


def _apply(document: Document, override: str) -> Document:
    path_text, equals, value_text = override.partition("=")
    keys = tuple(path_text.strip().split("."))
    if not equals or not all(keys):
        message = f"got {shorten(repr(override))}; write path=value"
        raise SpecError("--set", [Problem("", f"{message}, for example --set search.trials=4")])
    value = _value(value_text, source=f"--set {path_text.strip()}")
    entries = document.get(keys[0]) if keys[0] in {"methods", "trials"} else None
    if len(keys) > 1 and isinstance(entries, list):
        keys = (keys[0], _find_position(entries, keys[1], section=keys[0]), *keys[2:])
    changed = set_path(_drop_baseline_values(document, keys), keys, value)
    assert isinstance(changed, dict)
    train = changed.get("train")
    if len(keys) > 1 and keys[0] == "train" and isinstance(train, dict):
        # Steps and epochs say the same thing: the one that is set stands alone.
        return {**changed, "train": merge_training(train, {keys[1]: train[keys[1]]})}
    return changed


# A field's name in braces, as templates have it.
_PLACEHOLDER = re.compile(r"\{[A-Za-z_]\w*\}")


def _value(text: str, *, source: str) -> Json:
    """Returns a value read as YAML, or as it stands where it is a template without quotes.

    YAML takes ``{instruction}`` for a mapping whose key has no value, which nothing here wants.
    """
    if not _PLACEHOLDER.search(text):
        return parse_yaml(text, source=source)
    try:
        value = parse_yaml(text, source=source)
    except SpecError:
        return text.strip()
    return text.strip() if _is_misread(value, text) else value


def _is_misread(value: Json, text: str) -> bool:
    """Whether a placeholder of a text has become a mapping."""
    if isinstance(value, dict):
        keys = [key for key, below in value.items() if below is None]
        return any(f"{{{key}}}" in text for key in keys) or any(
            _is_misread(below, text) for below in value.values()
        )
    return isinstance(value, list) and any(_is_misread(item, text) for item in value)


def _find_position(entries: list[Json], key: str, *, section: str) -> str:
    names = [_name_of(entry, section=section) for entry in entries]
    if key in names:
        return str(names.index(key))
    position = position_in(entries, key)
    if position is not None:
        return str(position)
    known = [name for name in names if isinstance(name, str)]
    noun = section.removesuffix("s")
    message = f"no {noun} {shorten(repr(key))} in this space; it has {', '.join(known)}"
    raise SpecError("--set", [Problem(f"{section}.{key}", message + nearest(key, known))])


def _name_of(entry: Json, *, section: str) -> Json:
    """Returns what an entry is called: a trial by its name, a method by what points call it."""
    if section == "methods" and isinstance(entry, dict) and "name" in entry:
        return label_of(entry)
    return get_path(entry, ("name",))


def _drop_baseline_values(document: Document, keys: tuple[str, ...]) -> Document:
    """Returns the document with baselines that have no value of their own at ``keys``."""
    baselines = document.get("baselines")
    if not isinstance(baselines, list):
        return document
    match keys:
        case ("train", field):
            return {**document, "baselines": [_drop(x, ("train", field)) for x in baselines]}
        case ("methods", position, field) if field != "name":
            name = _name_of(get_path(document, ("methods", position)), section="methods")
            kept = [
                _drop(x, ("method", field))
                if _name_of(get_path(x, ("method",)), section="methods") == name
                else x
                for x in baselines
            ]
            return {**document, "baselines": kept}
    return document


def _drop(entry: Json, path: tuple[str, str]) -> Json:
    branch = get_path(entry, path[:1])
    if not isinstance(branch, dict) or path[1] not in branch:
        return entry
    return set_path(entry, path[:1], {key: x for key, x in branch.items() if key != path[1]})
