"""What MLflow shows of a sweep and of a trial besides parameters and metrics: names, tags, status.

A tag is all that does not vary on purpose: who, whence, and the rest of the spec.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from sweeper.tracking.mlflow_view.content.varied import Varied
from sweeper.tracking.mlflow_view.names import shown_name
from sweeper.tracking.owner.clones import ClonedFrom, parent_of
from sweeper.tracking.provenance import user_of
from sweeper.tracking.record import TrialRecord
from sweeper.tracking.stored import LEADERBOARD_FILE, Said
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper.tracking.trial_folder import TrialFolder

__all__ = [
    "EXPERIMENT_TAGS",
    "LEADERBOARD_TAGS",
    "NOTE",
    "RUN_STATUS",
    "constant_tags",
    "failure_text",
    "flatten",
    "said_note",
    "said_tags",
    "sweep_constants",
    "sweep_tags",
    "trial_name",
    "trial_status",
    "trial_tags",
]

# Training, as against GenAI, for the versions of MLflow whose pages ask the experiment. Those of
# 3.17 have a switch for their reader instead, which the links of this program set.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""Tags of an experiment that this program makes, or finds without them."""

NOTE = "mlflow.note.content"
"""MLflow's own name of a run's description."""
# Its pages show such a file as a table.
LEADERBOARD_TAGS = {
    "mlflow.loggedArtifacts": json.dumps([{"path": LEADERBOARD_FILE, "type": "table"}])
}
"""Tags of a run that has the leaderboard."""

RUN_STATUS = {
    "queued": "SCHEDULED",
    "running": "RUNNING",
    "complete": "FINISHED",
    # A pruned trial did what it was told to; the tag `status` says that it was stopped early.
    "pruned": "FINISHED",
    "failed": "FAILED",
    "superseded": "KILLED",
    "stopped": "KILLED",
    "interrupted": "KILLED",
}
"""MLflow's status of a run by the status of a trial or a sweep."""

# Begins a description that may be replaced by a later one; a user's own does not.
_VERDICTS = "**Verdicts**"
# Parameters of a trial that name it: in a design, in a list. The table of runs is grouped by them.
_NAMES = ("configuration", "trial")


def flatten(tree: Mapping[str, Any], *, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yields the leaves of a plain tree by dotted path, as text; lists stay in one piece."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from flatten(value, prefix=f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)


def sweep_constants(folder: SweepFolder) -> dict[str, str]:
    """Returns the settings of a sweep as tags of its own run, without space and addressees.

    Nor what a paper has published: these are no settings.
    """
    left_out = {"methods", "trials", "design", "notify", "paper"}
    document = {key: value for key, value in folder.document.items() if key not in left_out}
    return {shown_name(path): value for path, value in flatten(document)}


def sweep_tags(folder: SweepFolder) -> dict[str, str]:
    """Returns the tags that the runs of a sweep have in common."""
    document = folder.document
    profile = document.get("profile", "")
    if isinstance(profile, Mapping):
        profile = profile.get("name", "")
    tags = {
        "sweep": folder.name,
        "profile": str(profile),
        "mlflow.user": user_of(folder.path),
        "mlflow.source.name": f"sweeper run {document.get('name', folder.name)}",
        "mlflow.source.type": "LOCAL",
    }
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


def said_note(said: Said, *, now: str) -> dict[str, str]:
    """Returns the description of a sweep's run, Markdown; empty where a user has written one.

    Args:
        said: by the report page.
        now: the description that the run has.
    """
    if now and not now.startswith(_VERDICTS):
        return {}
    sentences = [*said.verdicts, *said.remarks]
    lines = [_VERDICTS, "", *(f"- {text}" for text in sentences or ["None yet."])]
    lines += ["", "All of it: `report.html` among the artifacts."]
    return {NOTE: "\n".join(lines)}


def trial_name(record: TrialRecord) -> str:
    """Returns what MLflow calls the run of a trial; sorts by number."""
    clone = "clone-" if record.origin == "clone" else ""
    return f"{clone}{record.number:03d}-{record.method}-{record.id}"


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
    source, parent = trial.taken_from(), parent_of(trial)
    named = [record.params[name] for name in _NAMES if name in record.params]
    return {
        **sweep_tags(folder),
        **({} if source is None else {"taken_from": source.sweep}),
        **({} if parent is None else _clone_tags(parent)),
        # Not "trial" for either: that is the trial's identity.
        **({"configuration": str(named[0])} if named else {}),
        "mlflow.parentRunId": parent_run_id,
        "number": str(record.number),
        "method": record.method,
        "origin": record.origin,
        # The trial's identity also covers the data and the code; this is the configuration alone.
        "config_hash": hashlib.sha256(spec.encode()).hexdigest()[:12],
    }


def _clone_tags(parent: ClonedFrom) -> dict[str, str]:
    """Returns the tags of a run that began where another one ended."""
    return {
        "cloned_from": parent.trial,
        "steps_before": str(parent.steps),
        "cloned_with": ", ".join(parent.asked),
    }


def constant_tags(spec: Mapping[str, Any], varied: Varied) -> dict[str, str]:
    """Returns the rest of a trial's spec by path, which are no parameters of its run.

    Args:
        spec: of the trial, as plain JSON.
        varied: what varies in the sweep.
    """
    shown = {".".join(path) for path in varied.paths}
    return {
        shown_name(path): value
        for path, value in flatten(spec)
        # A field that is a mapping has several leaves; one that is null says nothing.
        if value != "null"
        and not any(path == name or path.startswith(f"{name}.") for name in shown)
    }


def trial_status(record: TrialRecord, *, sweep_status: str) -> str:
    """Returns the status that MLflow shows: trials of a stopped sweep are interrupted.

    Nobody has stopped them: a resume goes on with them.
    """
    return record.status if record.is_final or sweep_status == "running" else "interrupted"


def failure_text(record: TrialRecord) -> str:
    """Returns why a trial failed, with the traceback where there is one."""
    if record.error is None:
        return "no reason was recorded\n"
    error = record.error
    return error.traceback or f"{error.type}: {error.message}\n"
