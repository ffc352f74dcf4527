"""The text of a document: YAML 1.2 becomes a plain tree, and what is wrong is told by its line.

The rules, which ``docs/explanation/yaml.md`` tells to users:

* Numbers, truth values and null are those of the core schema of YAML 1.2 (section 10.3.2). All
  else is text. What looks like a date is text, too, but a date that does not exist is refused.
* Keys are text as they are written. No key stands twice; merge keys (``<<``) give way to others.
* No tags but those of the core schema. Aliases may be used, up to a number of values in all.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import date

import yaml

from sweeper._text import shorten
from sweeper.errors import Problem, SpecError
from sweeper.experiment.documents.tree import Json

__all__ = ["dump_yaml", "parse_yaml"]

MOST_DEPTH = 60
"""Levels of a document: a search space has six."""
MOST_VALUES = 100_000
"""Values of a document, those of aliases counted each time that they stand somewhere."""

_CORE = "tag:yaml.org,2002:"
_STR, _NULL, _BOOL, _INT, _FLOAT = (f"{_CORE}{x}" for x in ("str", "null", "bool", "int", "float"))
_MERGE, _DATE = f"{_CORE}merge", f"{_CORE}timestamp"

# What a plain scalar is, tried in this order: the characters that it can begin with, and its form.
_FORMS = (
    (_NULL, ["~", "n", "N", ""], r"~|null|Null|NULL|"),
    (_BOOL, list("tTfF"), r"true|True|TRUE|false|False|FALSE"),
    (_INT, list("-+0123456789"), r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
    (
        _FLOAT,
        list("-+.0123456789"),
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    ),
    (_MERGE, ["<"], r"<<"),
    (_DATE, list("0123456789"), r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt ].*)?"),
)
_IS = {tag: re.compile(rf"(?:{form})\Z", re.ASCII) for tag, _, form in _FORMS}


class _Refused(yaml.MarkedYAMLError):
    """A document that is YAML, but none of ours; the problem is a whole message."""

    def __init__(self, problem: str, node: yaml.Node) -> None:
        super().__init__(problem=problem, problem_mark=node.start_mark)


class _Composer(yaml.SafeLoader):
    """Makes the nodes of a text, to a bounded depth; nothing is constructed."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # the stubs lack it
            raise yaml.MarkedYAMLError(problem=_TOO_DEEP, problem_mark=mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


_Composer.yaml_implicit_resolvers = {}
for _tag, _first, _ in _FORMS:
    _Composer.add_implicit_resolver(_tag, _IS[_tag], _first)

_TOO_DEEP = f"more than {MOST_DEPTH} levels stand inside of each other"


def parse_yaml(text: str, *, source: str) -> Json:
    """Returns the tree that YAML ``text`` describes.

    Raises:
        SpecError: the text is not YAML, or breaks one of the rules above; the message has line and
            column.
    """
    try:
        node = yaml.compose(text, Loader=_Composer)
        return None if node is None else _Builder().build(node)
    except yaml.reader.ReaderError as error:
        where = f"line {text.count(chr(10), 0, error.position) + 1}"
        character = error.character
        # PyYAML gives the number of a character that it finds in a text.
        character = chr(character) if isinstance(character, int) else character
        message = f"has the character {character!r}, which no YAML may have; remove it"
        raise SpecError(source, [Problem(where, message)]) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        message = ", ".join(shorten(x, limit=300) for x in (error.context, error.problem) if x)
        if not isinstance(error, _Refused):
            message = f"not valid YAML: {message}; correct that line"
        raise SpecError(source, [Problem(where, message)]) from error
    except yaml.YAMLError as error:
        message = f"not valid YAML: {shorten(str(error))}; correct the text"
        raise SpecError(source, [Problem("", message)]) from error


def dump_yaml(value: Json, *, is_flow: bool = False) -> str:
    """Returns a tree as YAML of which :func:`parse_yaml` makes the same tree.

    Args:
        value: of plain values; texts that it would read as another value are quoted.
        is_flow: write it in one line, lists and mappings in brackets, without a line break at its
            end; a document of blocks else.
    """
    text: str = yaml.dump(
        value,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=math.inf if is_flow else 100,
        default_flow_style=is_flow or None,
    )
    return text.removesuffix("\n").removesuffix("\n...") if is_flow else text


class _Dumper(yaml.SafeDumper):
    """Writes plain what the composer reads as it is meant, and in quotes all other texts."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - nothing is shared
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # In other quotes a line break would be an empty line.
    style = '"' if "\n" in text else None
    return dumper.represent_scalar(_STR, text, style=style)


_Dumper.yaml_implicit_resolvers = _Composer.yaml_implicit_resolvers
_Dumper.add_representer(str, _represent_text)


class _Builder:
    """Makes plain values of the nodes of one document."""

    def __init__(self) -> None:
        self._values = 0
        self._depth = 0

    def build(self, node: yaml.Node) -> Json:
        """Returns the value of a node."""
        self._values += 1
        if self._values > MOST_VALUES:
            message = f"the document has more than {MOST_VALUES:,} values, its aliases put in"
            raise _Refused(f"{message}; write fewer, or use fewer aliases", node)
        # An alias may stand inside of what it names, and go on for ever.
        if self._depth >= MOST_DEPTH:
            raise _Refused(f"{_TOO_DEEP}, its aliases put in; write it flatter", node)
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        kind = "map" if isinstance(node, yaml.MappingNode) else "seq"
        if node.tag != f"{_CORE}{kind}":
            raise _unknown_tag(node)
        self._depth += 1
        built: Json
        if isinstance(node, yaml.MappingNode):
            built = self._mapping(node)
        else:
            built = [self.build(item) for item in node.value]
        self._depth -= 1
        return built

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Json]:
        own: dict[str, Json] = {}
        merged: dict[str, Json] = {}
        seen: set[str] = set()
        for key_node, value_node in node.value:
            key = _key(key_node)
            # Quoted it is a key like any other.
            is_merge = key_node.tag == _MERGE
            mark = f"{_MERGE} {key}" if is_merge else key
            if mark in seen:
                message = f"the key {shorten(repr(key))} is given twice; keep one"
                raise _Refused(message, key_node)
            seen.add(mark)
            if is_merge:
                for tree in self._merged(value_node):
                    merged = {**tree, **merged}
            else:
                own[key] = self.build(value_node)
        return {**merged, **own}

    def _merged(self, node: yaml.Node) -> Iterator[dict[str, Json]]:
        """Yields the mappings that a merge key names; an earlier one wins over a later one."""
        for item in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if not isinstance(item, yaml.MappingNode):
                message = "the key '<<' takes mappings only; give it an alias such as *name, or a"
                raise _Refused(f"{message} list of them", item)
            tree = self.build(item)
            assert isinstance(tree, dict)
            yield tree


def _key(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        message = "a list or a mapping stands as a key; put quotes around what begins with { or ["
        raise _Refused(message, node)
    if node.tag not in {_STR, *_IS}:
        raise _unknown_tag(node)
    return _text(node)


def _scalar(node: yaml.ScalarNode) -> Json:
    tag, written = node.tag, node.value
    if tag in {_STR, _MERGE}:
        return _text(node)
    if tag == _DATE:
        return _date(node)
    if tag not in _IS:
        raise _unknown_tag(node)
    # A whole number is a number, too.
    if not _IS[tag].match(written) and not (tag == _FLOAT and _IS[_INT].match(written)):
        name = f"!!{tag.removeprefix(_CORE)}"
        message = f"{shorten(repr(written))} is none of the values that {name} can have"
        raise _Refused(f"{message}; leave {name} out, or correct the value", node)
    if tag in {_NULL, _BOOL}:
        return None if tag == _NULL else written.lower() == "true"
    return _whole(node) if tag == _INT else _number(node)


def _text(node: yaml.ScalarNode) -> str:
    text: str = node.value
    # Half of a pair, "\ud800", cannot be written to a file, and no path may hold a null.
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        message = f"the text {shorten(repr(text))} holds a null or half of a surrogate pair"
        raise _Refused(f"{message}; remove it", node)
    return text


def _date(node: yaml.ScalarNode) -> str:
    written = _text(node)
    try:
        date.fromisoformat(written[:10])
    except ValueError as error:
        message = f"{shorten(repr(written))} looks like a date, but there is none such ({error})"
        raise _Refused(f"{message}; correct it, or put it in quotes", node) from error
    return written


def _whole(node: yaml.ScalarNode) -> int:
    written = node.value
    # Python itself refuses to read more than some thousand digits.
    number = 2**64 if len(written) > 100 else int(written, 0 if written[:2] in {"0o", "0x"} else 10)
    if abs(number) > 2**63:
        message = f"{shorten(written)} is too large; numbers go from -2**63 to 2**63"
        raise _Refused(f"{message}; write a smaller one, or put it in quotes as a text", node)
    return number


def _number(node: yaml.ScalarNode) -> float:
    written = node.value
    # ``.inf`` and ``.nan`` have their point first in YAML.
    number = float(written.lower().replace(".inf", "inf").replace(".nan", "nan"))
    if math.isinf(number) and "inf" not in written.lower():
        message = f"{shorten(written)} is too large; numbers go to 1.79e308; write a smaller one"
        raise _Refused(message, node)
    return number


def _unknown_tag(node: yaml.Node) -> _Refused:
    tag = shorten(node.tag.replace(_CORE, "!!"))
    return _Refused(
        f"the tag {tag} does not fit here; a document has texts, numbers, lists and mappings; "
        "leave the tag out",
        node,
    )
