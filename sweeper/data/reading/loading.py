"""The one place where the library ``datasets`` is asked, and where what it raises is turned round.

It reads tables with pandas and JSON with Arrow, which guess types: a country code ``NA`` becomes
nothing and ``00012`` a number. Here its tables are read as text. Text files in a folder of this
machine it does not read at all (:mod:`sweeper.data.reading.folders`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from sweeper.data.reading.rows import Row
from sweeper.errors import DataError, MissingError

if TYPE_CHECKING:
    from datasets import Dataset, DatasetBuilder, DatasetDict

__all__ = ["builder_of", "load_all", "load_split", "rows_of"]

_T = TypeVar("_T")
# What pandas must be told to take no cell for nothing.
_AS_TEXT = {"keep_default_na": False, "na_filter": False}


def builder_of(place: dict[str, Any], *, name: str, remedy: str) -> DatasetBuilder:
    """Returns what ``datasets`` would build a data set with; no row is read yet.

    Args:
        place: arguments of ``load_dataset_builder``.
        name: of the data set, for messages.
        remedy: what to do where it cannot be had, for messages.

    Raises:
        MissingError: it is not there.
        DataError: it is there, and cannot be used.
    """
    from datasets import load_dataset_builder

    return _asked(lambda: load_dataset_builder(**place), name=name, remedy=remedy)


def load_all(place: dict[str, Any], *, name: str, remedy: str) -> DatasetDict:
    """Returns all splits of a data set; arguments and errors are those of :func:`builder_of`."""
    return _asked(lambda: _load_as_text(place), name=name, remedy=remedy)


def rows_of(rows: Iterable[Row], *, name: str, remedy: str) -> Iterator[Row]:
    """Yields the rows of a split; errors are those of :func:`builder_of`."""
    found = iter(rows)
    while (row := _asked(lambda: next(found, None), name=name, remedy=remedy)) is not None:
        yield row


def load_split(place: dict[str, Any], split: str, *, name: str, remedy: str) -> Dataset:
    """Returns one split of a data set; the rest is as in :func:`load_all`."""
    from datasets import load_dataset

    return _asked(lambda: load_dataset(**place, split=split), name=name, remedy=remedy)


def _load_as_text(place: dict[str, Any]) -> DatasetDict:
    from datasets import Features, Value, load_dataset

    found = load_dataset(**place)
    first = next(iter(found.values()))
    if first.info.builder_name != "csv":
        return found
    # The columns are known now. That they are text can only be said of each by its name.
    features = Features({name: Value("string") for name in first.column_names})
    return load_dataset(**place, features=features, **_AS_TEXT)


def _asked(ask: Callable[[], _T], *, name: str, remedy: str) -> _T:
    from datasets.exceptions import DatasetsError

    try:
        return ask()
    except (MissingError, DataError):
        raise
    except DatasetsError as error:
        raise DataError(
            f"the data set {name} cannot be read: {_reasons(error)}; its files must be whole, in "
            f"UTF-8, and all with the same columns; correct them, or {remedy}"
        ) from error
    except (OSError, ValueError) as error:
        raise MissingError(
            f"the data set {name} cannot be loaded: {_reasons(error)}; {remedy}"
        ) from error
    except Exception as error:
        raise DataError(
            f"the data set {name} cannot be read: {type(error).__name__}: {_reasons(error)}; "
            f"correct its files, or {remedy}"
        ) from error


def _reasons(error: BaseException) -> str:
    """Returns why, in one line: the message, and that of the cause where there is another one."""
    texts: list[str] = []
    found: BaseException | None = error
    while found is not None and len(texts) < 3:
        text = " ".join(str(found).split()) or type(found).__name__
        texts.append(text if len(text) <= 300 else f"{text[:297]}…")
        found = found.__cause__
    return ": ".join(dict.fromkeys(texts))
