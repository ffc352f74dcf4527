"""A study's storage for its only driver: read once, then kept in memory beside the database."""

from __future__ import annotations

import copy
from collections.abc import Callable, Container, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage, _StudyInfo
from optuna.trial import FrozenTrial, TrialState

from sweeper.search.driving.reading import read_trials

__all__ = ["OneWriterStorage"]


class OneWriterStorage(_CachedStorage):
    """Optuna's cache of a database that no other process writes to.

    Optuna's own cache asks the database at each look for all trials that have not ended, a dozen
    times a trial: with a grid that waits, each look costs as much as the grid is long. A sweep has
    one driver, so that what it has written is what is there. Every write goes to the database at
    once, as before; what is read comes from memory.
    """

    def __init__(self, backend: RDBStorage) -> None:
        """Takes a database; each study of it is read when it is first asked for.

        Args:
            backend: where the study is.
        """
        super().__init__(backend)
        self._read: set[int] = set()
        self._attributes: dict[int, dict[str, Any]] = {}

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Returns a trial as it stands, ended or not."""
        with self._lock:
            found = self._known(trial_id)
        if found is None:
            return super().get_trial(trial_id)
        return found if found.state.is_finished() else _own(found)

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """Returns the trials of a study in their order."""
        self._read_trials_from_remote_storage(study_id)
        with self._lock:
            # They came in the order of their numbers.
            found = list(self._studies[study_id].trials.values())
        if states is not None:
            found = [trial for trial in found if trial.state in states]
        return copy.deepcopy(found) if deepcopy else found

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """Returns a study's own attributes."""
        if study_id not in self._attributes:
            self._attributes[study_id] = super().get_study_user_attrs(study_id)
        return dict(self._attributes[study_id])

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:  # noqa: ANN401 - Optuna's signature
        """Writes one of a study's own attributes."""
        before = self.get_study_user_attrs(study_id)
        super().set_study_user_attr(study_id, key, value)
        self._attributes[study_id] = {**before, key: value}

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        """Writes a parameter of a trial that runs."""
        super().set_trial_param(trial_id, param_name, param_value_internal, distribution)
        value = distribution.to_external_repr(param_value_internal)

        def change(trial: FrozenTrial) -> None:
            trial.params = {**trial.params, param_name: value}
            trial.distributions = {**trial.distributions, param_name: distribution}

        self._change(trial_id, change)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Writes how a trial stands; False where another one has taken it from the queue."""
        is_done = super().set_trial_state_values(trial_id, state, values)
        # The database knows when that was.
        found = self._backend.get_trial(trial_id)
        with self._lock:
            self._put(found)
        return is_done

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        """Writes what a trial has reported."""
        super().set_trial_intermediate_value(trial_id, step, intermediate_value)

        def change(trial: FrozenTrial) -> None:
            trial.intermediate_values = {**trial.intermediate_values, step: intermediate_value}

        self._change(trial_id, change)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:  # noqa: ANN401 - Optuna's signature
        """Writes an attribute of a trial that runs."""
        super().set_trial_user_attr(trial_id, key, value)

        def change(trial: FrozenTrial) -> None:
            trial.user_attrs = {**trial.user_attrs, key: value}

        self._change(trial_id, change)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:  # noqa: ANN401 - Optuna's signature
        """Writes one of Optuna's attributes of a trial that runs."""
        super().set_trial_system_attr(trial_id, key, value)

        def change(trial: FrozenTrial) -> None:
            trial.system_attrs = {**trial.system_attrs, key: value}

        self._change(trial_id, change)

    def _read_trials_from_remote_storage(self, study_id: int) -> None:
        if study_id not in self._read:
            found = read_trials(self._backend, study_id)
            with self._lock:
                self._studies.setdefault(study_id, _StudyInfo())
                self._add_trials_to_cache(study_id, found)
            self._read.add(study_id)

    def _known(self, trial_id: int) -> FrozenTrial | None:
        """Returns a trial from memory; None where it was never read."""
        place = self._trial_id_to_study_id_and_number.get(trial_id)
        return None if place is None else self._studies[place[0]].trials[place[1]]

    def _change(self, trial_id: int, change: Callable[[FrozenTrial], None]) -> None:
        """Puts a changed copy of a trial in its place: who has the old one keeps it."""
        with self._lock:
            found = self._known(trial_id)
            if found is None:
                return
            trial = copy.copy(found)
            change(trial)
            self._put(trial)

    def _put(self, trial: FrozenTrial) -> None:
        if self._known(trial._trial_id) is not None:
            study_id, number = self._trial_id_to_study_id_and_number[trial._trial_id]
            self._studies[study_id].trials[number] = trial


def _own(trial: FrozenTrial) -> FrozenTrial:
    """Returns a copy for who changes what it gets in place, as a trial of Optuna's does."""
    own = copy.copy(trial)
    own.params, own.distributions = dict(trial.params), dict(trial.distributions)
    own.user_attrs, own.system_attrs = dict(trial.user_attrs), dict(trial.system_attrs)
    own.intermediate_values = dict(trial.intermediate_values)
    return own
