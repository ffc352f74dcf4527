"""Documents as plain trees: reading YAML, merging, ``--set a.b=c``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import yaml

from sweeper._text import nearest
from sweeper.errors import Problem, SpecError

__all__ = [
    "Document",
    "Json",
    "Scalar",
    "apply_override",
    "get_path",
    "merge",
    "parse_yaml",
    "read_yaml",
    "set_path",
]

Scalar = bool | int | float | str
Json = Scalar | None | list["Json"] | dict[str, "Json"]
Document = dict[str, Json]


class _Loader(yaml.SafeLoader):
    """Safe YAML with the numbers of YAML 1.2 (``1e-4`` is one) and without repeated keys."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regex) for tag, regex in resolvers if tag != "tag:yaml.org,2002:float"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:(?:[0-9][0-9_]*)?\.[0-9_]+(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*\.?(?:[eE][-+]?[0-9]+)|[0-9][0-9_]*\.|\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)


def _mapping_without_repeats(loader: _Loader, node: yaml.MappingNode) -> dict[object, object]:
    seen: set[object] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} is given twice; keep one", key_node.start_mark
            )
        seen.add(key)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping_without_repeats)


def parse_yaml(text: str, *, source: str) -> Json:
    """Returns the tree that YAML ``text`` describes.

    Raises:
        SpecError: the text is not YAML; the message has line and column.
    """
    try:
        # A SafeLoader with other numbers: it constructs nothing but plain values.
        tree: Json = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        message = f"not valid YAML: {error.problem or error.context}; correct that line"
        raise SpecError(source, [Problem(where, message)]) from error
    except yaml.YAMLError as error:
        raise SpecError(source, [Problem("", f"not valid YAML: {error}")]) from error
    return tree


def read_yaml(path: Path) -> Document:
    """Returns the mapping in the YAML file at ``path``.

    Raises:
        SpecError: no such file, not YAML, or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        near = nearest(path.name, [p.name for p in path.parent.glob("*.yaml")])
        message = f"cannot be read: {error}{near}"
        raise SpecError(str(path), [Problem("", message)]) from error
    tree = parse_yaml(text, source=str(path))
    if not isinstance(tree, dict):
        message = f"holds {type(tree).__name__}, not a mapping of fields; write 'name: …' and so on"
        raise SpecError(str(path), [Problem("", message)])
    return tree


def merge(base: Document, over: Mapping[str, Json]) -> Document:
    """Returns ``base`` with the leaves of ``over`` put over it; lists are replaced whole.

    A branch that names another ``kind`` than the base's replaces it: the old kind's fields would
    not fit.
    """
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        same_kind = (
            isinstance(old, dict)
            and isinstance(value, dict)
            and value.get("kind", old.get("kind")) == old.get("kind")
        )
        if same_kind and isinstance(old, dict) and isinstance(value, dict):
            merged[key] = merge(old, value)
        else:
            merged[key] = value
    return merged


def apply_override(document: Document, override: str) -> Document:
    """Returns ``document`` with one ``--set path=value`` applied; the value is read as YAML.

    ``methods`` is addressed by the method's name (``methods.masa.rank=4``) or position
    (``methods.0.rank=4``), ``trials`` by the trial's. An override wins over the baselines too: they
    lose their own value of that field.

    Raises:
        SpecError: there is no ``=``, or the path is empty.
    """
    path_text, equals, value_text = override.partition("=")
    keys = tuple(path_text.strip().split("."))
    if not equals or not all(keys):
        message = f"got {override!r}; write path=value, for example --set search.trials=4"
        raise SpecError("--set", [Problem("", message)])
    value = parse_yaml(value_text, source=f"--set {path_text.strip()}")
    entries = document.get(keys[0]) if keys[0] in {"methods", "trials"} else None
    if len(keys) > 1 and isinstance(entries, list):
        keys = (keys[0], _position(entries, keys[1], section=keys[0]), *keys[2:])
    changed = set_path(_without_baseline_value(document, keys), keys, value)
    assert isinstance(changed, dict)
    return changed


def _without_baseline_value(document: Document, keys: tuple[str, ...]) -> Document:
    baselines = document.get("baselines")
    methods = document.get("methods")
    if not isinstance(baselines, list) or keys[0] not in {"methods", "train"} or keys[-1] == "name":
        return document
    section, field = ("train", keys[-1])
    name: Json = None
    if keys[0] == "methods" and len(keys) == 3 and isinstance(methods, list):
        section, name = "method", get_path(methods, (keys[1], "name"))
    kept: list[Json] = []
    for entry in baselines:
        branch = entry.get(section) if isinstance(entry, dict) else None
        if isinstance(branch, dict) and (name is None or branch.get("name") == name):
            branch = {key: value for key, value in branch.items() if key != field}
            kept.append(set_path(entry, (section,), branch))
        else:
            kept.append(entry)
    return {**document, "baselines": kept}


def _position(entries: list[Json], key: str, *, section: str) -> str:
    names = [entry.get("name") if isinstance(entry, dict) else None for entry in entries]
    if key in names:
        return str(names.index(key))
    if key.isdigit() and int(key) < len(entries):
        return key
    known = [name for name in names if isinstance(name, str)]
    what = section.removesuffix("s")
    message = f"no {what} {key!r} in this space; it has {', '.join(known)}{nearest(key, known)}"
    raise SpecError("--set", [Problem(f"{section}.{key}", message)])


def get_path(tree: Json, path: tuple[str, ...]) -> Json:
    """Returns the leaf or branch at ``path``, or None where there is none."""
    for key in path:
        if isinstance(tree, list) and key.isdigit() and int(key) < len(tree):
            tree = tree[int(key)]
        elif isinstance(tree, dict) and key in tree:
            tree = tree[key]
        else:
            return None
    return tree


def set_path(tree: Json, path: tuple[str, ...], value: Json) -> Json:
    """Returns a copy of ``tree`` with ``value`` at ``path``; missing branches are made."""
    if not path:
        return value
    key, rest = path[0], path[1:]
    if isinstance(tree, list) and key.isdigit() and int(key) < len(tree):
        return [
            set_path(item, rest, value) if index == int(key) else item
            for index, item in enumerate(tree)
        ]
    branch = tree if isinstance(tree, dict) else {}
    return {**branch, key: set_path(branch.get(key), rest, value)}
