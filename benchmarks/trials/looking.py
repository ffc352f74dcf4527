"""What a sweep of so many trials takes to be taken up again, reported, and sent to MLflow."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from benchmarks.trials.simulating import FINGERPRINT, Search
from sweeper.execution.after.final_jobs import final_jobs
from sweeper.execution.reconcile import reconcile, warn_of_other_data
from sweeper.experiment.sweep import Sweep
from sweeper.report.page import Subject, subject_of, write_sweep_page
from sweeper.report.terminal import sweep_view
from sweeper.tracking.mlflow_view import MlflowView
from sweeper.tracking.sweep_folder import SweepFolder

__all__ = ["look", "send"]

# Of a terminal.
_WIDTH = 120


def look(search: Search) -> dict[str, float]:
    """Returns seconds and sizes of a sweep with as many trials as it has now.

    Each is of new objects, as another process would have them.

    Args:
        search: that has run; it goes on with the study that is read here.
    """
    folder = SweepFolder(search.folder.path)

    def resume() -> None:
        warn_of_other_data(folder, FINGERPRINT)
        search.open()
        reconcile(folder, search.study, retries_failed=False, is_ahead=False)
        final_jobs(folder, search.sweep.spec.final)

    resume_s = _seconds(resume)
    begin_s = time.perf_counter()
    subject = _reported(SweepFolder(folder.path))
    report_s = time.perf_counter() - begin_s
    begin_s = time.perf_counter()
    page = write_sweep_page(subject)
    return {
        "resume_s": resume_s,
        "report_s": report_s,
        "page_s": time.perf_counter() - begin_s,
        "page_bytes": float(page.stat().st_size),
    }


def _reported(folder: SweepFolder) -> Subject:
    """Returns a sweep that was shown as `report` shows it, to nobody."""
    subject = subject_of(folder, tracking_uri="")
    view = sweep_view(folder, subject.ranking, subject.conclusions)
    Console(file=io.StringIO(), markup=False, width=_WIDTH).print(view, crop=False)
    return subject


def send(sweep: Sweep, source: SweepFolder, home: Path, *, trials: int) -> dict[str, float]:
    """Returns how MLflow's view of the first trials of a sweep keeps up.

    Args:
        sweep: that was run.
        source: its folder.
        home: for a copy of it, with so many trials.
        trials: how many.
    """
    folder = SweepFolder.create(home, "sent", document=sweep.document)
    for record in source.trials()[:trials]:
        place = folder.path / "trials" / record.id
        shutil.copytree(source.trial(record.id).path, place)
    folder.mark("complete")
    view = MlflowView(folder)
    # The first pass makes the database.
    kept = folder.path / "trials"
    kept.rename(folder.path / "held")
    kept.mkdir()
    view.sync()
    kept.rmdir()
    (folder.path / "held").rename(kept)
    first_s, again_s = _seconds(view.sync), _seconds(view.sync)
    return {"sent": float(trials), "runs_per_s": trials / first_s, "idle_s": again_s}


def _seconds(work: Callable[[], object]) -> float:
    begin_s = time.perf_counter()
    work()
    return time.perf_counter() - begin_s
