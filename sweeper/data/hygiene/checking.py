"""The check of a sweep's data: all of it on demand, contamination before a sweep starts."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sweeper import _environment
from sweeper._files import read_json, write_json
from sweeper.data import DataSpec, EmbeddedDataSpec, Example, Splits, TasksDataSpec
from sweeper.data.hygiene.duplicates import Repeat, near_duplicates, repeated_rows
from sweeper.data.hygiene.findings import DataCheck, Finding, Kind, Shown
from sweeper.data.hygiene.overlap import Overlap, find_overlaps
from sweeper.data.hygiene.rows import SHOWN, bad_rows, long_rows, place_of, row_findings
from sweeper.data.hygiene.settings import HygieneSpec
from sweeper.data.hygiene.texts import shortened
from sweeper.errors import DamagedFileError, DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["check_data", "require_clean"]

logger = logging.getLogger(__name__)

# Part of the cache's keys; raised by any change of what counts as contamination.
_VERSION = 2


def check_data(
    data: DataSpec,
    settings: HygieneSpec,
    *,
    max_length: int,
    tokenizer: PreTrainedTokenizerBase | None,
    no_tokenizer: str = "",
    metrics: Sequence[str] = (),
) -> DataCheck:
    """Returns all problems of the rows of a sweep's data.

    Args:
        data: what the sweep is trained and evaluated on.
        settings: what counts as contamination.
        max_length: most tokens of an example.
        tokenizer: of the model; None where it cannot be had, and lengths are not looked at.
        no_tokenizer: why it cannot be had.
        metrics: names of those that score data that is not made of tasks.

    Raises:
        BadInputError: the data cannot be read.
    """
    splits, refused, shares, warnings = _load(data)
    splits = splits.scored_by(metrics)
    fingerprint = data.fingerprint()
    findings = [*_contamination(splits, settings)]
    _remember(_cache_file(data, settings, fingerprint), findings)
    findings += _duplicates(splits.train)
    findings += row_findings(splits)
    not_looked_at = []
    if tokenizer is None:
        not_looked_at.append(f"rows longer than train.max_length: {no_tokenizer}")
    else:
        findings += long_rows(splits, tokenizer, max_length=max_length)
    rows = {name: len(examples) for name, examples in vars(splits).items()}
    findings += bad_rows(refused, rows=sum(rows.values()))
    is_allowed = settings.contamination == "allow"
    return DataCheck(
        fingerprint, rows, tuple(findings), is_allowed, tuple(not_looked_at), shares, warnings
    )


def require_clean(data: DataSpec, settings: HygieneSpec, *, fingerprint: str) -> None:
    """Refuses data whose training rows contain evaluation rows.

    The result is cached (``SWEEPER_CACHE``), so the same data is checked only once.

    Args:
        data: of the sweep.
        settings: what counts, and whether it is allowed.
        fingerprint: of the data.

    Raises:
        DataError: they contain more of them than the limits allow, or the data cannot be read.
    """
    if settings.contamination == "allow":
        return
    path = _cache_file(data, settings, fingerprint)
    found = _recall(path, settings)
    if found is None:
        found = [*_contamination(data.load(), settings)]
        _remember(path, found)
    refused = [finding for finding in found if finding.is_refused]
    if refused:
        raise DataError(_refusal(refused, settings))
    if count := sum(finding.count for finding in found):
        logger.warning(
            "%d of %d evaluation rows are in the training rows, which is within the limit; python "
            "-m sweeper data check shows them",
            count,
            sum(finding.rows for finding in found),
        )


def _refusal(refused: list[Finding], settings: HygieneSpec) -> str:
    sets = "; ".join(
        f"{finding.count:,} of {finding.rows:,} rows ({finding.share:.1%}) of {finding.where} are "
        f"in the training rows, at most {finding.limit:,} may be"
        for finding in refused
    )
    shown = refused[0].shown[0]
    return (
        f"the data is contaminated: {sets}; an evaluation row counts if one training row contains "
        f"{settings.overlap:.0%} of its own words; one of them: {shown.place} "
        f"{shortened(shown.text, most=160)!r}, and {shown.other_place} "
        f"{shortened(shown.other_text, most=160)!r}; remove them from the training rows or "
        "evaluate on other data (python -m sweeper data check shows them); to run anyway: --set "
        "hygiene.contamination=allow"
    )


def _load(
    data: DataSpec,
) -> tuple[Splits, tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Returns the rows, the refused ones, how the splits were made, and what is worth a warning."""
    if isinstance(data, TasksDataSpec):
        # Other sources do not leave bad rows out: they refuse them.
        return *data.loaded(), (), ()
    if isinstance(data, EmbeddedDataSpec):
        return data.load(), (), (), ()
    read = data.read()
    return read.splits, (), read.shares, read.warnings


def _contamination(splits: Splits, settings: HygieneSpec) -> Iterator[Finding]:
    """Yields a finding for the validation rows and for each task's test rows, also of none.

    Test rows are looked for in the validation rows, too: trials are chosen by those.
    """
    tested: dict[str, list[int]] = {}
    for row, example in enumerate(splits.test):
        name = f"test of {example.task}" if example.task else "test"
        tested.setdefault(name, []).append(row)
    overlaps = find_overlaps(splits.validation, splits.train, threshold=settings.overlap)
    yield _held_rows("validation", range(len(splits.validation)), splits, overlaps, settings)
    # All tasks at once: the training rows are read once, however many tasks there are.
    overlaps = find_overlaps(
        splits.test, (*splits.train, *splits.validation), threshold=settings.overlap
    )
    for name, rows in tested.items():
        yield _held_rows(name, rows, splits, overlaps, settings)


def _held_rows(
    name: str,
    rows: Sequence[int],
    splits: Splits,
    overlaps: Sequence[Overlap],
    settings: HygieneSpec,
) -> Finding:
    numbers = {row: number for number, row in enumerate(rows)}
    found = [(numbers[o.row], o) for o in overlaps if o.row in numbers]
    shown = tuple(_held(f"{name} row {number}", splits, o) for number, o in found[:SHOWN])
    return _limited(Finding("contamination", name, len(found), len(rows), shown), settings)


def _limited(finding: Finding, settings: HygieneSpec) -> Finding:
    is_test = finding.where != "validation"
    share = settings.test_share if is_test else settings.validation_share
    return replace(finding, limit=math.ceil(share * finding.rows))


def _held(place: str, splits: Splits, overlap: Overlap) -> Shown:
    is_test, training_row = place.startswith("test"), overlap.training_row
    split, other = "train", splits.train
    if training_row >= len(splits.train):
        split, other, training_row = "validation", splits.validation, training_row - len(other)
    mine = (splits.test if is_test else splits.validation)[overlap.row]
    held = other[training_row]
    what = "the question" if overlap.is_question else "question and answer"
    return Shown(
        place=place,
        text=_text(mine, has_answer=not overlap.is_question),
        other_place=place_of(split, training_row, held),
        other_text=_text(held, has_answer=not overlap.is_question),
        remark=f"{overlap.share:.0%} of {what}'s own words",
    )


def _text(example: Example, *, has_answer: bool) -> str:
    return shortened(f"{example.prompt}{example.answer}" if has_answer else example.prompt)


def _duplicates(train: Sequence[Example]) -> Iterator[Finding]:
    kinds: dict[Kind, list[Repeat]] = {
        "repeated row": repeated_rows(train),
        "near duplicate": near_duplicates(train),
    }
    for kind, repeats in kinds.items():
        if repeats:
            shown = tuple(
                Shown(
                    place_of("train", repeat.row, train[repeat.row]),
                    _text(train[repeat.row], has_answer=True),
                    place_of("train", repeat.earlier, train[repeat.earlier]),
                    _text(train[repeat.earlier], has_answer=True),
                    f"{repeat.similarity:.0%} alike",
                )
                for repeat in repeats[:SHOWN]
            )
            yield Finding(kind, "train", len(repeats), len(train), shown)


def _cache_file(data: DataSpec, settings: HygieneSpec, fingerprint: str) -> Path:
    content = [_VERSION, fingerprint, settings.overlap, data.model_dump(mode="json")]
    key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return _environment.cache_root() / "hygiene" / f"{key[:32]}.json"


def _remember(path: Path, findings: list[Finding]) -> None:
    document = {"findings": [finding.document() for finding in findings]}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, document, is_durable=False)
    except OSError as error:
        logger.warning(
            "the result of the data check cannot be cached in %s: %s", path.parent, error
        )


def _recall(path: Path, settings: HygieneSpec) -> list[Finding] | None:
    """Returns what was found earlier; None where there is nothing, or it cannot be read."""
    try:
        document = read_json(path)
        if document is None:
            return None
        return [_limited(Finding.of(entry), settings) for entry in document["findings"]]
    except DamagedFileError as error:
        logger.warning("%s is damaged (%s); the data is checked again", path, error.why)
        return None
    except (ValueError, KeyError, TypeError) as error:
        logger.warning("%s is damaged (%s); the data is checked again", path, error)
        return None
