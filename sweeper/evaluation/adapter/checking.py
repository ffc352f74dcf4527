"""The files of an adapter, compared with what its trial saves; nothing of them is trusted."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeper.errors import AdapterError
from sweeper.evaluation.adapter.digests import check_digests
from sweeper.evaluation.adapter.expected import ExpectedAdapter, TensorForm
from sweeper.experiment.trial import TrialSpec

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ADAPTER_CONFIG", "ADAPTER_WEIGHTS", "require_sound_adapter"]

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"

# Fields of PEFT's config that say where an adapter comes from and not what it computes.
_OF_NO_EFFECT = frozenset(
    {"auto_mapping", "base_model_name_or_path", "inference_mode", "peft_version", "revision"}
)
# Problems of one kind that a message lists, and characters of a value in it.
_MOST_LISTED = 3
_MOST_CHARACTERS = 120


@dataclass(frozen=True)
class _Problem:
    file: Path
    message: str


def require_sound_adapter(
    trial: TrialSpec, folder: Path, expected: ExpectedAdapter
) -> dict[str, Any]:
    """Checks that the files of an adapter are whole, and those of this trial.

    Args:
        trial: that trained the adapter.
        folder: with PEFT's files.
        expected: what they must hold.

    Returns:
        The fields of the config that training has set.

    Raises:
        AdapterError: a file is missing or cannot be read, a field of the config or a tensor is
            another than the trial's, a value is no finite number, or the bytes are not those that
            were written; with all that was found.
    """
    content = _read_config(trial, folder / ADAPTER_CONFIG)
    learned = {name: content.get(name) for name in trial.method.learned_fields}
    problems = [
        _Problem(folder / ADAPTER_CONFIG, text)
        for text in _check_config(content, expected, learned)
    ]
    shapes = {key: form.shape for key, form in expected.tensors.items()}
    try:
        shapes = trial.method.saved_shapes(shapes, learned)
    except ValueError as error:
        problems.append(_Problem(folder / ADAPTER_CONFIG, str(error)))
    tensors = _read_tensors(trial, folder / ADAPTER_WEIGHTS)
    forms = {key: TensorForm(shapes[key], form.dtype) for key, form in expected.tensors.items()}
    problems += [
        _Problem(folder / ADAPTER_WEIGHTS, text)
        for text in _check_tensors(tensors, forms, expected.alternatives)
    ]
    # Last: what is wrong with a field or a tensor says more.
    problems = problems or [_Problem(path, text) for path, text in check_digests(folder)]
    if problems:
        raise _build_error(trial, problems)
    return learned


def _build_error(trial: TrialSpec, problems: list[_Problem]) -> AdapterError:
    by_file: dict[Path, list[str]] = {}
    for problem in problems:
        by_file.setdefault(problem.file, []).append(problem.message)
    found = "; ".join(f"{file}: {', '.join(texts)}" for file, texts in by_file.items())
    return AdapterError(
        f"{found}; the files must be those that the training of this trial, with "
        f"{trial.method.label}, wrote; restore them from a copy, or train the trial again"
    )


def _read_config(trial: TrialSpec, path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise _build_error(trial, [_Problem(path, "the trial's adapter is not there")]) from error
    # Not JSON, not text, or nested too deeply.
    except (OSError, ValueError, RecursionError) as error:
        text = f"it cannot be read ({_shorten(str(error))})"
        raise _build_error(trial, [_Problem(path, text)]) from error
    if not isinstance(content, dict):
        text = f"it holds {type(content).__name__} where fields are needed"
        raise _build_error(trial, [_Problem(path, text)])
    return content


def _read_tensors(trial: TrialSpec, path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if not path.is_file():
            raise FileNotFoundError("it is no file, or not there")
        return load_file(path)
    # A header may name dtypes that torch does not have.
    except (OSError, SafetensorError, ValueError, KeyError, RuntimeError) as error:
        text = f"it cannot be read ({_shorten(str(error))})"
        raise _build_error(trial, [_Problem(path, text)]) from error


def _check_config(
    content: Mapping[str, Any], expected: ExpectedAdapter, learned: Mapping[str, Any]
) -> Iterator[str]:
    """Yields what is wrong with the fields that change what an adapter computes."""
    for name in sorted(content.keys() - expected.config.keys() - _OF_NO_EFFECT):
        yield f"the field {_shorten(name)} is unknown"
    for name, wanted in expected.config.items():
        if name in _OF_NO_EFFECT or name in learned:
            continue
        found = content.get(name, expected.defaults.get(name))
        if not _is_same(found, wanted):
            yield f"{name} is {_shorten(repr(found))} where the trial has {_shorten(repr(wanted))}"


def _is_same(found: object, wanted: object) -> bool:
    """Whether two values are one; lists of texts are sets that PEFT writes in any order."""
    if isinstance(found, list | set | tuple) and isinstance(wanted, list):
        return sorted(map(repr, found)) == sorted(map(repr, wanted))
    # True is not 1, but 16 is 16.0.
    return isinstance(found, bool) == isinstance(wanted, bool) and found == wanted


def _check_tensors(
    tensors: Mapping[str, Tensor],
    forms: Mapping[str, TensorForm],
    alternatives: Mapping[str, Collection[TensorForm]],
) -> Iterator[str]:
    """Yields what is wrong with keys, shapes, dtypes and values."""
    missing, unknown = sorted(forms.keys() - tensors), sorted(tensors.keys() - forms)
    yield from _list(missing, "is missing")
    yield from _list(unknown, "is not of this adapter")
    others, broken = [], []
    for key in sorted(forms.keys() & tensors):
        value, form = tensors[key], forms[key]
        found = TensorForm.of(value)
        if found != form and found not in alternatives.get(key, ()):
            others.append(f"{key} is {found} where the trial has {form}")
        elif value.is_floating_point() and not value.isfinite().all():
            broken.append(key)
    yield from _list(others, "")
    yield from _list(broken, "has values that are NaN or infinite")


def _list(names: list[str], text: str) -> Iterator[str]:
    shown = [f"{_shorten(name)} {text}".rstrip() for name in names[:_MOST_LISTED]]
    yield from shown
    if len(names) > _MOST_LISTED:
        yield f"and {len(names) - _MOST_LISTED} more like it"


def _shorten(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"
