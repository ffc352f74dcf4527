"""A sweep whose trials were drawn and not trained, for what comes after a search."""

import pytest

from sweeper.search import draw_all
from sweeper.tracking.sweep_folder import SweepFolder


@pytest.fixture
def folder(sweep, tmp_path):
    return SweepFolder.create(tmp_path, "sweep-1", document=sweep.document)


@pytest.fixture
def add_trials(sweep, folder):
    """Adds so many of the sweep's trials to its folder, and returns them with their specs."""

    def added(count):
        drawn = [one.spec for one in draw_all(sweep)][:count]
        return [
            (
                spec,
                folder.add_trial(
                    spec.identity(data_fingerprint="rows"),
                    spec=spec.model_dump(mode="json"),
                    number=number,
                    method=spec.method.label,
                    steps_total=spec.train.steps,
                ),
            )
            for number, spec in enumerate(drawn)
        ]

    return added
