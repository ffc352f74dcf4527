"""A sweep whose owner may change its space while it runs."""

from __future__ import annotations

from sweeper._files import signature
from sweeper.experiment.sweep import Sweep
from sweeper.tracking.asked import read_sweep
from sweeper.tracking.owner import REVISIONS_FILE
from sweeper.tracking.owner.outside import space_revisions
from sweeper.tracking.sweep_folder import SweepFolder

__all__ = ["LivingSweep"]


class LivingSweep:
    """Looks whether a sweep was changed."""

    def __init__(self, folder: SweepFolder) -> None:
        """Takes a sweep as it is now.

        Args:
            folder: of the sweep.
        """
        self._folder = folder
        self._mark = self._signature()
        self.revision = len(space_revisions(folder))
        """How many changes of its fields it has taken up."""

    def changed(self) -> Sweep | None:
        """Returns the sweep as it is now; None where it is as it was at the last look.

        Raises:
            SpecError: what the owner's process wrote is none of this version's.
        """
        mark = self._signature()
        if mark == self._mark:
            return None
        self._mark = mark
        revision = len(space_revisions(self._folder))
        if revision == self.revision:
            # It was given more trials.
            return None
        self.revision = revision
        return read_sweep(self._folder)

    def _signature(self) -> tuple[int, int, int]:
        return signature(self._folder.path / REVISIONS_FILE)
