"""Names and values as MLflow takes them.

MLflow refuses a whole batch for one name that it does not like. A name that it takes stays as it
is. Any other gets the characters that MLflow allows and, so that no two names become one, eight
digits of its own hash; the run's tag :func:`name_tag` keeps what it was.
"""

from __future__ import annotations

import hashlib
import posixpath
import re

__all__ = ["cut_value", "folder_name", "name_tag", "shown_name"]

# MLflow's rules and limits (mlflow/utils/validation.py of 3.17).
_ALLOWED = re.compile(r"[\w\-. :/]+")
_NOT_ALLOWED = re.compile(r"[^\w\-. :]")
MAX_NAME = 250
MAX_VALUE = 6000
# A changed name has room for the tag that is made of it.
MAX_CHANGED = 200


def shown_name(name: str) -> str:
    """Returns what MLflow calls a metric or a parameter; the same for the same name, always.

    Args:
        name: any text, also an empty one.
    """
    if _is_taken_as_it_is(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    parts = [_NOT_ALLOWED.sub("_", part) for part in name.split("/")]
    stem = "/".join(part for part in parts if part.strip(". "))[: MAX_CHANGED - 9]
    return f"{stem.strip('./') or 'unnamed'}-{digest}"


def name_tag(shown: str) -> str:
    """Returns the key of the tag that says what a changed name was."""
    return f"name_of.{shown}"


def folder_name(name: str) -> str:
    """Returns the name of the folder of an experiment's artifacts; no two experiments share one.

    Args:
        name: of the experiment, any text.
    """
    plain = re.sub(r"[^\w. -]", "_", name).strip(". ")[:MAX_CHANGED]
    if plain == name:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain or 'experiment'}-{digest}"


def cut_value(text: str) -> str:
    """Returns the value of a parameter or a tag; its end is cut off where MLflow has no room."""
    # Half of a surrogate pair has no place in a database.
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 2]} …"


def _is_taken_as_it_is(name: str) -> bool:
    # MLflow may make a file of a name, so "a//b", "..", "/a" and "a/" are no names.
    is_path = posixpath.normpath(name) == name and not name.startswith(("..", "/")) and name != "."
    return is_path and len(name) <= MAX_NAME and _ALLOWED.fullmatch(name) is not None
