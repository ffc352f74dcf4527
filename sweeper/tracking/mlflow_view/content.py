"""What MLflow shows of a sweep and of a trial: names, parameters, tags, status."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from sweeper.tracking.record import TrialRecord
from sweeper.tracking.stored import Said
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import TrialFolder

__all__ = [
    "RUN_STATUS",
    "failure_text",
    "flatten",
    "said_tags",
    "sweep_params",
    "sweep_tags",
    "trial_name",
    "trial_params",
    "trial_status",
    "trial_tags",
]

RUN_STATUS = {
    "queued": "SCHEDULED",
    "running": "RUNNING",
    "complete": "FINISHED",
    # A pruned trial did what it was told to; the tag `status` says that it was stopped early.
    "pruned": "FINISHED",
    "failed": "FAILED",
    "superseded": "KILLED",
    "stopped": "KILLED",
}
"""MLflow's status of a run by the status of a trial or a sweep."""


def flatten(tree: Mapping[str, Any], *, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yields the leaves of a plain tree by dotted path, as text; lists stay in one piece."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from flatten(value, prefix=f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)


def sweep_params(folder: SweepFolder) -> dict[str, str]:
    """Returns the parameters of the sweep's own run: its settings, without the space."""
    space = {"methods", "trials", "design"}
    document = {key: folder.document[key] for key in folder.document if key not in space}
    return dict(flatten(document))


def sweep_tags(folder: SweepFolder) -> dict[str, str]:
    """Returns the tags that the runs of a sweep have in common."""
    profile = folder.document.get("profile", "")
    if isinstance(profile, Mapping):
        profile = profile.get("name", "")
    tags = {"sweep": folder.name, "profile": str(profile)}
    git = folder.about().git
    if git is not None:
        tags["git_commit"] = git.commit + ("-dirty" if git.is_dirty else "")
        # MLflow's own name for it, which its table of runs shows as version.
        tags["mlflow.source.git.commit"] = git.commit
    return tags


def said_tags(said: Said, *, before: int) -> dict[str, str]:
    """Returns the tags that say what a sweep's report page says, a verdict each.

    Args:
        said: by the page.
        before: how many verdicts the run has; those that are no longer said are emptied.
    """
    tags = {f"verdict.{number:02d}": text for number, text in enumerate(said.verdicts, start=1)}
    gone = range(len(said.verdicts) + 1, before + 1)
    return {
        **tags,
        **{f"verdict.{number:02d}": "" for number in gone},
        "parity": "\n".join(said.parity),
        "remarks": "\n".join(said.remarks),
    }


def trial_name(record: TrialRecord) -> str:
    """Returns what MLflow calls the run of a trial; sorts by number."""
    return f"{record.number:03d}-{record.method}-{record.id}"


def trial_params(trial: TrialFolder, record: TrialRecord) -> dict[str, str]:
    """Returns the parameters of a trial's run: its record's, and by path the rest of its spec."""
    params = dict(flatten(record.params))
    for path, value in flatten(trial.spec()):
        branch, _, name = path.rpartition(".")
        # `rank` and `method.rank` side by side would only fill MLflow's table.
        if branch not in {"method", "train"} or params.get(name) != value:
            params[path] = value
    return params


def trial_tags(
    folder: SweepFolder, trial: TrialFolder, record: TrialRecord, *, parent_run_id: str
) -> dict[str, str]:
    """Returns the tags of a trial's run that never change.

    Args:
        folder: the sweep.
        trial: the trial's folder.
        record: the trial's record.
        parent_run_id: the sweep's own run.
    """
    spec = json.dumps(trial.spec(), sort_keys=True, separators=(",", ":"))
    source = trial.taken_from()
    return {
        **sweep_tags(folder),
        **({} if source is None else {"taken_from": source.sweep}),
        "mlflow.parentRunId": parent_run_id,
        "number": str(record.number),
        "method": record.method,
        "origin": record.origin,
        # The trial's identity also covers the data and the code; this is the configuration alone.
        "config_hash": hashlib.sha256(spec.encode()).hexdigest()[:12],
    }


def trial_status(record: TrialRecord, *, sweep_status: str) -> str:
    """Returns the status that MLflow shows: trials of a stopped sweep are stopped, too."""
    return record.status if record.is_final or sweep_status == "running" else "stopped"


def failure_text(record: TrialRecord) -> str:
    """Returns why a trial failed, with the traceback where there is one."""
    if record.error is None:
        return "no reason was recorded\n"
    error = record.error
    return error.traceback or f"{error.type}: {error.message}\n"
