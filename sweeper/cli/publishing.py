"""The page of a sweep that has ended, where readers look for it: its folder, its store, MLflow."""

from __future__ import annotations

import logging
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweeper.report.page import Subject

__all__ = ["published"]

logger = logging.getLogger(__name__)


def published(
    subject: Subject, tracking_uri: str | None, *, only_where_known: bool = False
) -> Path | None:
    """Returns the page of a sweep that has ended, written and sent to MLflow; None without one.

    What goes wrong is a warning: the page can be made again.

    Args:
        subject: the sweep.
        tracking_uri: MLflow's store where it is not the one of the sweep's home.
        only_where_known: whether MLflow is left alone where it has nothing of the sweep.
    """
    from sweeper.report.page import write_sweep_page
    from sweeper.tracking.mirror import push_rest
    from sweeper.tracking.mlflow_view import MlflowView

    try:
        page = write_sweep_page(subject)
        view = MlflowView(subject.folder, tracking_uri=tracking_uri)
        if not only_where_known or view.was_sent():
            view.sync(page_only=True)
        push_rest(subject.folder.path)
    except Exception as error:  # noqa: BLE001 - the sweep is done, and its page can be made again
        again = f"python -m sweeper report {shlex.quote(str(subject.folder.path))} --html"
        logger.warning(
            "the report page was not written (%s: %s); all results are on disk; try: %s",
            type(error).__name__,
            error,
            again,
        )
        return None
    return page
