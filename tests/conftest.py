"""What every test relies on: no network, one thread, no settings of the user, seeded."""

import atexit
import fcntl
import importlib
import os
import random
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

# Before the first import of the libraries that read these at import.
os.environ.update(
    {
        # A test that would download fails at once instead of hanging.
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        # The models are tiny: a second thread costs more than it brings, and sums depend on it.
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
)
# Kernels for GPUs run in triton's interpreter, which is decided when triton is imported, and
# several libraries do that. With a GPU, set it to 0: then they are compiled, and run there.
os.environ.setdefault("TRITON_INTERPRET", "1")
# Whoever runs the tests may have these set; a test must not write to their server or cluster.
for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "RAY_ADDRESS", "HF_TOKEN"):
    os.environ.pop(name, None)
for name in [name for name in os.environ if name.startswith("SWEEPER_")]:
    del os.environ[name]
# A program that tests start, Ray's workers among them, need not compile this one again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# Nor may it fill the user's cache.
cache = tempfile.TemporaryDirectory(prefix="sweeper-cache-")
atexit.register(cache.cleanup)
os.environ["SWEEPER_CACHE"] = cache.name
os.environ["XDG_CACHE_HOME"] = cache.name
# A plan that measured steps would start a process that imports everything.
os.environ["SWEEPER_CALIBRATION_S"] = "0"

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

from tests.adapters.own import NAMED, is_of_own  # noqa: E402
from tests.whole import IS_WHOLE  # noqa: E402

# The same examples on every machine, and no clock: this one may be busy.
settings.register_profile("same", derandomize=True, deadline=None, database=None)
settings.load_profile("same")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Every test starts from the same random state, whichever ran before it."""
    random.seed(0)
    # Not imported for tests that do without. What a thread is importing is waited for.
    if "numpy" in sys.modules:
        importlib.import_module("numpy").random.seed(0)
    if "torch" in sys.modules:
        importlib.import_module("torch").manual_seed(0)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what only `make test-whole` runs, and puts the longest files first.

    These start Ray, or groups of processes.
    """
    left_out = [item for item in items if _is_left_out(item)]
    if left_out:
        items[:] = [item for item in items if not _is_left_out(item)]
        config.hook.pytest_deselected(items=left_out)
    with_ray = {item.path for item in items if _starts_ray(item)}
    items.sort(key=lambda item: (item.path not in with_ray, not _starts_processes(item)))


def _is_left_out(item: pytest.Item) -> bool:
    """Whether it is neither of the method of one's own that is named, nor of `make test`."""
    if NAMED:
        return not is_of_own(item)
    return not IS_WHOLE and item.get_closest_marker("whole") is not None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Gives all files that start Ray to one process, and each other file whole to any.

    Two processes with such files would wait for each other.
    """
    from xdist.scheduler import LoadScopeScheduling

    root = Path(__file__).parent
    with_ray = {
        path.relative_to(root.parent).as_posix()
        for path in root.rglob("test_*.py")
        if "mark.ray" in path.read_text(encoding="utf-8")
    }

    def split_scope(nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return "ray" if path in with_ray else path

    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = split_scope
    return scheduler


def _starts_ray(item: pytest.Item) -> bool:
    return item.get_closest_marker("ray") is not None


def _starts_processes(item: pytest.Item) -> bool:
    return hasattr(getattr(item, "module", None), "scenarios")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Lets one test at a time start Ray, of all processes on this machine.

    Outside of all that measures the time of a test: waiting is not the test's.
    """
    if not _starts_ray(item):
        return (yield)
    path = Path(tempfile.gettempdir()) / f"sweeper-ray-{os.getuid()}.lock"
    with path.open("w") as lock:
        # The kernel gives it back however this process ends.
        fcntl.flock(lock, fcntl.LOCK_EX)
        return (yield)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips, visibly, what needs a GPU where there is none."""
    if item.get_closest_marker("gpu") is None:
        return
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
