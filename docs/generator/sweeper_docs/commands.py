"""The page on the command line, from the typer app."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import typer

from sweeper_docs.markdown import code, page, paragraphs, plain, table
from sweeper_docs.project import BAD_INPUT, INTERRUPTED, SOME_FAILED, app

__all__ = ["commands", "commands_page"]

_INTRODUCTION = """
Each command is `python -m sweeper COMMAND`. In an installed package `sweeper COMMAND` is the
same. `--help` on a command prints what this page says of it. With `--json` a command prints one
JSON document on standard output and nothing else there; messages go to standard error.
"""
_TYPES: dict[Any, str] = {int: "whole number", float: "number", str: "text", bool: "flag"}


def commands_page() -> str:
    """Returns the page."""
    codes = [
        (code(0), "All went well."),
        (code(SOME_FAILED), "A trial failed, or a check did; the result is printed all the same."),
        (code(BAD_INPUT), "The input is wrong or something is missing. Nothing was started."),
        (code(INTERRUPTED), "The sweep was interrupted. `resume` goes on with it."),
    ]
    sections = [_section(name, command) for name, command in commands()]
    return page(
        "Commands",
        _INTRODUCTION,
        "## Exit codes\n\n" + table(("code", "meaning"), codes),
        *sections,
    )


def commands() -> Iterator[tuple[str, Any]]:
    """Yields every command with its full name, `data check` for one of a group."""
    yield from _below("", typer.main.get_command(app))


def _below(prefix: str, group: Any) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        full = f"{prefix}{name}"
        if hasattr(command, "commands"):
            yield from _below(f"{full} ", command)
        else:
            yield full, command


def _section(name: str, command: Any) -> str:
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [param for param in command.params if param.param_type_name == "option"]
    usage = " ".join([f"python -m sweeper {name}", *map(_metavar, arguments), "[OPTIONS]"])
    rows = [
        (
            _names(param),
            _takes(param),
            _default(param),
            plain(param.help),
        )
        for param in [*arguments, *options]
    ]
    parts = [
        f"## {name}",
        paragraphs(plain(command.help)),
        f"```text\n{usage}\n```",
        table(("argument or option", "takes", "default", "meaning"), rows),
    ]
    return "\n\n".join(parts)


def _metavar(param: Any) -> str:
    name = str(param.metavar or param.name.upper())
    return name if param.required else f"[{name}]"


def _names(param: Any) -> str:
    if param.param_type_name == "argument":
        return code(_metavar(param).strip("[]"))
    return ", ".join(map(code, [*param.opts, *param.secondary_opts]))


def _takes(param: Any) -> str:
    annotation = param.type_descriptor.annotation
    if get_origin(annotation) is list:
        (annotation,) = get_args(annotation)
    if get_origin(annotation) is Literal:
        return " or ".join(map(code, get_args(annotation)))
    word = _TYPES.get(annotation, "path")
    if param.min is not None or param.max is not None:
        bounds = f"{param.min} to {param.max}" if param.max else f"at least {param.min}"
        word = f"{word}, {bounds}"
    return f"{word}; may be repeated" if param.multiple else word


def _default(param: Any) -> str:
    if param.required:
        return "required"
    if param.default in (None, ""):
        return "–"
    return "off" if param.default is False else code(param.default)
