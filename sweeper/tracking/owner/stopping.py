"""Asks the driver of a sweep to stop it, or a trial; says where there is nothing to ask."""

from __future__ import annotations

from dataclasses import dataclass

from sweeper.errors import BadInputError
from sweeper.tracking.owner.life import DriverWord, driver_of
from sweeper.tracking.owner.requests import ask_stop
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import TrialFolder

__all__ = ["AskedStop", "stop"]


@dataclass(frozen=True)
class AskedStop:
    """A request that a driver has."""

    sweep: str
    """Name of the sweep."""
    trial: TrialFolder | None
    """The trial that is to stop; None for the sweep."""
    driver: DriverWord
    """Who was asked."""
    is_new: bool
    """Whether the driver had not been asked the same before."""

    @property
    def sentence(self) -> str:
        """What was asked, and what follows."""
        who = f"process {self.driver.pid} on {self.driver.host}"
        asked = "was asked" if self.is_new else "had been asked before"
        if self.trial is None:
            end = "its trials write a checkpoint and end"
            return f"The driver ({who}) {asked} to stop sweep {self.sweep}: {end}."
        record = self.trial.read()
        name = f"trial {record.number} ({record.method}, {record.id}) of sweep {self.sweep}"
        return f"The driver ({who}) {asked} to stop {name}: it ends after its step, for good."

    def document(self) -> dict[str, object]:
        """Returns the same as plain JSON."""
        return {
            "sweep": self.sweep,
            "trial": None if self.trial is None else self.trial.id,
            "driver": {"host": self.driver.host, "pid": self.driver.pid},
            "is_new": self.is_new,
        }


def stop(sweep: SweepFolder, trial: TrialFolder | None = None) -> AskedStop:
    """Asks the driver of a sweep to stop it, or a trial; to ask twice changes nothing.

    Args:
        sweep: that runs.
        trial: of it, that waits or is trained; None for the whole sweep.

    Raises:
        BadInputError: no driver runs the sweep, the trial has ended, or nothing can be written.
    """
    if trial is not None and (record := trial.read()).is_final:
        raise BadInputError(
            f"stop: trial {record.number} ({record.id}) of sweep {sweep.name} has ended "
            f"({record.status}); a trial can be stopped that waits or is trained; 'show "
            f"{sweep.name}/{record.number}' shows what it has left"
        )
    life = driver_of(sweep.path)
    if not life.is_alive:
        raise BadInputError(
            f"stop: no driver runs sweep {sweep.name}, whose status is {sweep.status!r}; a sweep "
            "can be stopped that runs; nothing was changed; 'resume' continues it where something "
            f"is left, and 'status {sweep.name}' shows it"
        )
    if life.word is None or life.word.ended_at is not None:
        raise BadInputError(
            f"stop: the driver of sweep {sweep.name} has said nothing yet; a driver is asked by "
            "the word that it leaves in the sweep's folder; try again in a few seconds, or press "
            "Ctrl-C where it runs"
        )
    trial_id = None if trial is None else trial.id
    is_new = ask_stop(sweep.path, driver=life.word.id, trial=trial_id)
    return AskedStop(sweep.name, trial, life.word, is_new)
