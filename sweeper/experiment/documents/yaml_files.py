"""Reading YAML: a text or a file becomes a plain tree; what is not YAML is told by its line."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from sweeper._text import nearest
from sweeper.errors import Problem, SpecError
from sweeper.experiment.documents.tree import Document, Json

__all__ = ["parse_yaml", "read_yaml"]


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


def _construct_mapping(loader: _Loader, node: yaml.MappingNode) -> dict[object, object]:
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


_Loader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)


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
