"""The best trial so far at each evaluation, with what it lost on each row; files of a sweep.

::

    sweeps/<sweep>/racing/<evaluation>/<trial>.npz   as the rows of an evaluation, of the loss alone

Whoever evaluates a trial on all rows puts its file there, and takes those away that are behind. No
lock is held: the best one is never taken away, and the file that is read is whole.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from sweeper.errors import DamagedFileError
from sweeper.tracking.row_scores import RowScores, read_row_scores, write_row_scores

__all__ = ["Incumbent", "Incumbents"]

logger = logging.getLogger(__name__)

RACING_FOLDER = "racing"
LOSS = "eval_loss"


@dataclass(frozen=True)
class Incumbent:
    """A trial that was evaluated on all rows."""

    trial_id: str
    mean: float
    """Of its losses."""
    losses: Mapping[int, float]
    """By row of the evaluation, of those that have a loss; in nats per token."""

    @property
    def place(self) -> tuple[float, str]:
        """What the best one has least of: its mean, and of equal ones its identity."""
        return self.mean, self.trial_id


class Incumbents:
    """The best trials of a sweep on disk, one for each evaluation of a trial."""

    def __init__(self, sweep: Path) -> None:
        """Names the folder; nothing is read yet.

        Args:
            sweep: the sweep's folder.
        """
        self._folder = sweep / RACING_FOLDER

    def best(self, evaluation: int, *, fingerprint: str, but: str) -> Incumbent | None:
        """Returns the best other trial; None where there is none, or none can be read.

        Args:
            evaluation: which one of a trial's it is, from 1.
            fingerprint: of the rows and their order; trials on others do not count.
            but: identity of a trial that does not count: nobody is behind itself.
        """
        found = self._read(evaluation, fingerprint)
        found.pop(but, None)
        return min(found.values(), key=lambda one: one.place, default=None)

    def add(self, evaluation: int, trial_id: str, scores: RowScores) -> None:
        """Puts a trial among them that was evaluated on all rows, and takes away who is behind.

        Without room for it the trials go on, and are compared with others.

        Args:
            evaluation: which one of the trial's it is, from 1.
            trial_id: its identity.
            scores: of the evaluation, with its loss.
        """
        folder = self._folder / str(evaluation)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_row_scores(folder / f"{trial_id}.npz", scores)
            found = self._read(evaluation, scores.fingerprint)
            for one in sorted(found.values(), key=lambda one: one.place)[1:]:
                (folder / f"{one.trial_id}.npz").unlink(missing_ok=True)
        except OSError as error:
            logger.warning("trial %s is compared with no later one: %s", trial_id, error)

    def _read(self, evaluation: int, fingerprint: str) -> dict[str, Incumbent]:
        found: dict[str, Incumbent] = {}
        for path in sorted((self._folder / str(evaluation)).glob("*.npz")):
            try:
                scores = read_row_scores(path)
            except (DamagedFileError, OSError) as error:
                logger.warning("a trial is not compared with %s: %s", path.stem, error)
                continue
            # Another one may have taken it away meanwhile.
            if scores is None or scores.fingerprint != fingerprint or LOSS not in scores.metrics:
                continue
            rows, losses = (numbers.tolist() for numbers in scores.metrics[LOSS])
            mean = fmean(losses)
            found[path.stem] = Incumbent(path.stem, mean, dict(zip(rows, losses, strict=True)))
        return found
