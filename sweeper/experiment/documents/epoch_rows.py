"""The rows of an epoch, counted where a file gives a length in epochs and not their number."""

from __future__ import annotations

from pydantic import TypeAdapter, ValidationError

from sweeper.data import DataSpec
from sweeper.errors import BadInputError, Problem, SpecError
from sweeper.experiment.documents.tree import Document, Json, get_path, set_path

__all__ = ["count_epoch_rows"]

_PATH = ("train", "epoch_rows")
# Sections in which a trial's training may be said.
_SECTIONS = ("train", "trials", "design")
_PARTED = (
    "counts passes over rows, but the data is plain text, of which a long row is trained on as "
    "several sequences of at most train.max_length tokens; give train.steps, or "
    "train.epoch_rows with the sequences of one pass"
)


def count_epoch_rows(document: Document, *, source: str) -> Document:
    """Returns a document that says how many rows an epoch has, if it has epochs.

    What it says stays: a sweep's own file has it, so that its trials do not change with the data.

    Args:
        document: with its profile and its overrides.
        source: where it is from, for the message.

    Raises:
        SpecError: the data is not there, so that no row can be counted, or is plain text, whose
            rows are no measure; or there are no epochs.
    """
    has_epochs = any(_has_key(document.get(section), "epochs") for section in _SECTIONS)
    known = get_path(document, _PATH)
    if known is not None and not has_epochs:
        text = f"is {known!r}, but nothing has epochs; it says how long one is; leave it out"
        raise SpecError(source, [Problem(".".join(_PATH), text)])
    if known is not None or not has_epochs:
        return document
    adapter: TypeAdapter[DataSpec] = TypeAdapter(DataSpec)
    try:
        examples = adapter.validate_python(document.get("data")).load().train
    except ValidationError:
        # What is wrong with the data is told with all the rest; a row is enough to look at that.
        examples = ()
    except BadInputError as error:
        text = (
            f"cannot be made steps of, for the rows of the data cannot be counted ({error}); get "
            "the data, give train.epoch_rows, or give train.steps"
        )
        raise SpecError(source, [Problem("train.epochs", text)]) from error
    if any(example.is_document for example in examples):
        raise SpecError(source, [Problem("train.epochs", _PARTED)])
    changed = set_path(document, _PATH, max(1, len(examples)))
    assert isinstance(changed, dict)
    return changed


def _has_key(tree: Json, key: str) -> bool:
    """Returns whether a key stands anywhere in a tree."""
    if isinstance(tree, dict):
        return key in tree or any(_has_key(branch, key) for branch in tree.values())
    return isinstance(tree, list) and any(_has_key(item, key) for item in tree)
