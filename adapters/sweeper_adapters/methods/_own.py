"""Methods of a user's own in Python files: ``{python: "my_method.py:MySpec", …its fields…}``.

The class is a spec as those of this package are. What is made of it has two more fields, the file
and its hash, so that whoever has the spec finds the code again, and no other code in its place. The
file is run by each process that reads such a method.
"""

from __future__ import annotations

import hashlib
import sys
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from functools import lru_cache, wraps
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, get_args

from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError
from pydantic_core.core_schema import ErrorType

from sweeper_adapters.methods._base import AnyMethodSpec
from sweeper_adapters.methods._entry_points import describe_wrong
from sweeper_adapters.methods._facts import ModelShape
from sweeper_adapters.python_files import is_path, run_file

__all__ = [
    "FILE_FIELDS",
    "OwnMethodError",
    "identity_content",
    "is_own",
    "load_own",
    "read_own",
    "split_own",
    "without_running",
]

FILE_FIELDS = ("python", "sha256")
"""What a method of one's own has besides the fields of its class."""
_FORM = "FILE.py:CLASS"
# What is asked of a method before anything is trained.
_ASKED = (
    *("problems", "engine_problems", "count", "resolved", "resized", "peft_config"),
    *("alpha_per_rank", "update_scale", "scaled"),
)


class OwnMethodError(ValueError):
    """The code of a user's own method has failed where it was asked."""


def split_own(python: str) -> tuple[str, str]:
    """Returns the file and the class that a text names.

    Raises:
        ValueError: it is not of the form ``FILE.py:CLASS``.
    """
    file, _, name = python.rpartition(":")
    if not file.endswith(".py") or not name.isidentifier() or not is_path(file):
        raise ValueError(
            f"got {python!r}; a method of your own is named {_FORM}; write, for example, "
            "my_method.py:MySpec, or install a package and name its method"
        )
    return file, name


def load_own(python: str, *, sha256: str = "", taken: Collection[str] = ()) -> type[AnyMethodSpec]:
    """Returns the spec class that a text names; its file is run where that has not been done.

    Args:
        python: ``FILE.py:CLASS``.
        sha256: hash that the file must have; any, as it is now, where it is empty.
        taken: names of other methods, which its own must not be.

    Raises:
        ValueError: there is no such file or class, it is no method, or the file cannot be run or
            has another hash.
    """
    file, name = split_own(python)
    if sha256 and (known := _LOADED.get((python, sha256))) is not None:
        return known
    path = Path(file).absolute()
    source = _read(path, python)
    found = hashlib.sha256(source).hexdigest()
    if sha256 not in {"", found}:
        raise ValueError(
            f"{path} is not the file that the sweep was made with: its hash is {found[:12]}…, and "
            f"was {sha256[:12]}…; all trials of a sweep are of one code; bring the file back, or "
            "begin a new sweep"
        )
    if (known := _LOADED.get((python, found))) is not None:
        return known
    if not _MAY_RUN.get():
        raise ValueError(f"{path} is not run to say how a sweep stands; show the trial itself")
    kind = _class_of(_module(path, source), name, path)
    tag = str(kind.model_fields["name"].default)
    if tag in taken:
        raise ValueError(
            f"{name} of {path} has the name {tag!r}, which is another method's; each method has a "
            "name of its own; change name in the class"
        )
    return _LOADED.setdefault((python, found), _with_file(kind, python, found))


_LOADED: dict[tuple[str, str], type[AnyMethodSpec]] = {}
"""What this process has made, by file and class, and by the file's hash."""
_MAY_RUN: ContextVar[bool] = ContextVar("_MAY_RUN", default=True)


@contextmanager
def without_running() -> Iterator[None]:
    """Runs no file meanwhile: a method whose file this process has not run yet is unknown.

    For who lists sweeps, which may be anybody's, and needs the names of their methods alone.
    """
    token = _MAY_RUN.set(False)
    try:
        yield
    finally:
        _MAY_RUN.reset(token)


def read_own(entry: Mapping[str, object], *, taken: Collection[str]) -> AnyMethodSpec:
    """Returns a method of one's own; what its file does not say is as the class has it.

    Args:
        entry: ``python``, perhaps ``sha256``, and the fields of the class.
        taken: as of :func:`load_own`.

    Raises:
        ValueError: as of :func:`load_own`; a ValidationError says what is wrong with the fields.
    """
    kind = load_own(str(entry["python"]), sha256=str(entry.get("sha256") or ""), taken=taken)
    try:
        return kind.model_validate({**entry, "sha256": kind.model_fields["sha256"].default})
    except ValidationError as error:
        raise _told(error, kind) from error
    except Exception as error:
        # A validator of the class has raised what pydantic does not take for a wrong value.
        raise ValueError(_failed(kind, "checking its fields", error)) from error


def is_own(kind: type[AnyMethodSpec]) -> bool:
    """Returns whether a spec class is that of a file."""
    return kind in _LOADED.values()


def identity_content(method: AnyMethodSpec) -> dict[str, object]:
    """Returns the fields of a method that name a trial: where a file lies changes nothing."""
    content = method.model_dump(mode="json")
    if is_own(type(method)):
        file, name = split_own(str(content["python"]))
        content["python"] = f"{Path(file).name}:{name}"
    return content


def _read(path: Path, python: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"got {python!r}, and {path} cannot be read ({error.strerror or error}); it must be a "
            "file with Python code, on a cluster at the same path on every node; correct the path, "
            "or bring the file back"
        ) from error


def _module(path: Path, source: bytes) -> ModuleType:
    try:
        return _run(path, source)
    # Whatever the file does when it is run, an exit of the interpreter among it.
    except (Exception, SystemExit) as error:
        raise ValueError(
            f"{path} cannot be run: {type(error).__name__}: {error}{_where(error, path)}; it must "
            "run without an error, and is run where the sweep starts and in each worker; correct "
            "it, or install what it imports there"
        ) from error


@lru_cache(maxsize=64)
def _run(path: Path, source: bytes) -> ModuleType:
    """Returns the module of a file; one file may have several methods."""
    module = run_file(path, source, kind="method")
    # A spec imports its tuner where an adapter is made, which is later.
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    return module


def _where(error: BaseException, path: Path) -> str:
    """Returns the last line of a file that an error has come through, as its traceback has it."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f", in line {error.lineno}: {(error.text or '').strip()}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == str(path)]
    return f", in line {own[-1].lineno}: {own[-1].line}" if own else ""


def _class_of(module: ModuleType, name: str, path: Path) -> type[AnyMethodSpec]:
    kind: Any = getattr(module, name, None)
    if kind is None:
        known = [key for key, x in vars(module).items() if _is_of(x, module) and key[:1] != "_"]
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"{path} defines no {name!r}; it must be a class of that file; it has "
            f"{', '.join(known) or 'none'}; correct the name{hint}"
        )
    if reason := _describe_no_method(kind):
        raise ValueError(
            f"{name} of {path} is no method: {reason}; it must be a spec made of MethodSpec; "
            "docs/how-to/add-a-method.md says what one has; correct the class"
        )
    found: type[AnyMethodSpec] = kind
    return found


def _is_of(value: object, module: ModuleType) -> bool:
    return isinstance(value, type) and value.__module__ == module.__name__


def _describe_no_method(kind: Any) -> str:  # noqa: ANN401 - whatever a file defines
    """Returns why what a file defines is no method; an empty text where it is one."""
    if reason := describe_wrong(kind):
        return reason
    fields = set(kind.model_fields)
    if reserved := sorted(fields & set(FILE_FIELDS)):
        return f"its fields {', '.join(reserved)} are those that name the file"
    if not isinstance(getattr(kind, "source", None), str):
        return "it lacks source, a text that says where the method comes from"
    scales = [*([kind.scale_field] if kind.scale_field else []), *kind.scale_fields]
    sizes = [kind.size_field, *kind.size_fields, *scales]
    if missing := [name for name in sizes if name not in fields]:
        return (
            f"its size_field, size_fields, scale_field or scale_fields names {', '.join(missing)}, "
            f"which is no field of it ({', '.join(sorted(fields))})"
        )
    return ""


def _with_file(kind: type[AnyMethodSpec], named: str, found: str) -> type[AnyMethodSpec]:
    """Returns the class with two fields more: what names it in its file, and the file's hash."""

    class WithFile(kind):  # type: ignore[valid-type, misc]  # known when it is run
        __doc__ = kind.__doc__
        label_fields: ClassVar[tuple[str, ...]] = (*kind.label_fields, *FILE_FIELDS)

        python: str = Field(default=named)
        """``FILE.py:CLASS``."""
        sha256: str = Field(default=found)
        """Hash of the file."""

        @classmethod
        def label_of(cls, entry: Mapping[str, object]) -> str:
            """Returns its name: what reads a sweep without its file knows nothing else."""
            return str(entry.get("name", cls.model_fields["name"].default))

        def problems(self, shape: ModelShape) -> list[tuple[str, str]]:
            """Returns what the class says, and whether its formula gives a number."""
            found: list[tuple[str, str]] = list(super().problems(shape))
            if found or not self.is_counted_by_shape:
                return found
            number = self.count(shape)
            is_number = isinstance(number, int) and not isinstance(number, bool) and number > 0
            text = (
                f"count of {kind.__name__} returned {number!r}; it must be how many parameters are "
                "trained, a whole number above 0; correct the method"
            )
            return [] if is_number else [("python", text)]

        def __reduce__(self) -> tuple[object, ...]:
            # The class is made by each process for itself.
            return _again, (self.model_dump(mode="json"),)

    for name in _ASKED:
        setattr(WithFile, name, _guarded(kind, getattr(WithFile, name)))
    WithFile.__name__, WithFile.__qualname__ = kind.__name__, kind.__qualname__
    # Messages tell the file that it is of.
    WithFile.__module__ = kind.__module__
    return WithFile


def _guarded(kind: type[AnyMethodSpec], asked: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a method of a spec whose failure is told with the line of the user's file."""

    @wraps(asked)
    def guarded(*arguments: object, **named: object) -> object:
        try:
            return asked(*arguments, **named)
        except OwnMethodError:
            raise
        except Exception as error:
            raise OwnMethodError(_failed(kind, asked.__name__, error)) from error

    return guarded


def _failed(kind: type[AnyMethodSpec], what: str, error: Exception) -> str:
    path = Path(str(sys.modules[kind.__module__].__file__))
    return (
        f"{kind.__name__} of {path} failed in {what}: {type(error).__name__}: "
        f"{error}{_where(error, path)}; it must answer for every model and size, or tell what is "
        "wrong in _size_problems; correct the class"
    )


def _again(content: dict[str, object]) -> AnyMethodSpec:
    return read_own(content, taken=())


def _told(error: ValidationError, kind: type[AnyMethodSpec]) -> ValidationError:
    """Returns the error with the fields that the class knows where an unknown one is given.

    Those who translate errors have the union, in which the class is not.
    """
    found = error.errors(include_url=False)
    return ValidationError.from_exception_data(kind.__name__, [_line(x, kind) for x in found])


def _line(details: ErrorDetails, kind: type[AnyMethodSpec]) -> InitErrorDetails:
    context = details.get("ctx", {})
    if details["type"] == "extra_forbidden":
        known = sorted(set(kind.model_fields) - set(FILE_FIELDS))
        key = str(details["loc"][-1])
        near = get_close_matches(key, known, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        text = f"unknown field {key!r} of {kind.__name__}; known: {', '.join(known)}{hint}"
        told = PydanticCustomError("own_field", "{error}", {"error": text})
        return InitErrorDetails(type=told, loc=details["loc"], input=None)
    kinds = get_args(ErrorType)
    of = details["type"]
    # A type that a validator of the class has made up comes with its own text.
    said = (
        of
        if of in kinds
        else PydanticCustomError("own_field", "{error}", {"error": details["msg"]})
    )
    return InitErrorDetails(type=said, loc=details["loc"], input=details["input"], ctx=context)
