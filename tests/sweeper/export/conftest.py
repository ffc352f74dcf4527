"""A model, data and trials to export, made once."""

import gc

import pytest

from sweeper.analysis.lookup import FoundTrial
from sweeper.tracking.sweep_folder import SweepFolder
from tests.adapters.specs import SPECS
from tests.sweeper import exported


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """A folder with a model and data."""
    root = exported.make_world(tmp_path_factory.mktemp("world"))
    # As `load_base` does it: an export collects garbage, and would walk through all of torch.
    gc.collect()
    gc.freeze()
    yield root
    gc.unfreeze()


@pytest.fixture(scope="session")
def trial_of(world):
    """Returns the function that has a complete trial of an example of the methods."""
    found: dict[tuple[str, str], FoundTrial] = {}
    sweeps = {
        precision: SweepFolder.create(world / "sweeps", precision, document=exported.DOCUMENT)
        for precision in ("fp32", "bf16")
    }

    def trial(name, precision="fp32"):
        if (name, precision) not in found:
            spec = exported.trial(SPECS[name], world, precision=precision)
            sweep = sweeps[precision]
            folder = exported.made(sweep, spec, number=list(SPECS).index(name))
            found[name, precision] = FoundTrial(sweep, folder)
        return found[name, precision]

    return trial
