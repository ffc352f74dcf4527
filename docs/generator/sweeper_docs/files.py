"""The page on the files of a sweep; tests hold its lists to folders that sweeps have made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sweeper_docs.fields import fields_table
from sweeper_docs.markdown import code, page, table
from sweeper_docs.project import TrialFailure, TrialRecord

__all__ = ["HOME", "MIRROR", "SWEEP", "TRIAL", "KeptFile", "files_page"]


@dataclass(frozen=True)
class KeptFile:
    """A file or a folder that a sweep keeps."""

    name: str
    """Relative to the folder that it is listed under; of a folder with a slash at the end."""
    content: str
    written: str = ""
    """Once, replaced whole, or growing."""


HOME = (
    KeptFile("<sweep>/", "One sweep."),
    KeptFile("mlflow.db", "MLflow's store in SQLite, unless another store is named."),
    KeptFile("mlflow.db.lock", "Held by the process that makes or changes that database."),
    KeptFile("mlartifacts/", "The files that MLflow keeps of each run."),
)
"""What is in the folder of all sweeps."""

SWEEP = (
    KeptFile(
        "sweep.json",
        "Name, identity, time, commit, versions of packages, the search that it confirms, if it is "
        "a confirmation, what was expected of learning rates, and the resolved search space.",
        "once",
    ),
    KeptFile(
        "search_space.yaml",
        "What is run as one search space, the profile put in: `run` of this file runs it again.",
        "once",
    ),
    KeptFile(
        "revisions.json",
        "What `extend` and `resume --set` have changed: the number of trials, of which the last "
        "one counts, and fields of the search space from what to what; when, and by whom.",
        "replaced",
    ),
    KeptFile(
        "limits.json",
        "What the sweep may take in all: hours, cost, memory of a worker; without it, anything.",
        "replaced",
    ),
    KeptFile(
        "usage.json",
        "When drivers ran, and for how long, noted every five seconds.",
        "replaced",
    ),
    KeptFile(
        "costs.json",
        "What its trials cost by the forecast, where it has limits.",
        "replaced",
    ),
    KeptFile(
        "state.json",
        "How the sweep stands (`running`, `complete` or `stopped`), and since when.",
        "replaced",
    ),
    KeptFile("optuna.db", "The Optuna study in SQLite: what was suggested, how it ended.", "grows"),
    KeptFile(
        "study.json",
        "In its place, where studies are on PostgreSQL: the database, without user and password, "
        "and the study's name there.",
        "replaced",
    ),
    KeptFile(
        "observations.json",
        "Which trials of earlier sweeps the study begins with (`search.from`), and why the others "
        "are left out.",
        "once",
    ),
    KeptFile("data.json", "Hash of the rows that the trials see, for MLflow.", "replaced"),
    KeptFile("evaluation.json", "On which rows trials are evaluated in training, and how.", "once"),
    KeptFile("base.json", "Metrics of the frozen base on these rows.", "once"),
    KeptFile(
        "validation_rows.npz",
        "What each of these rows contributes to each metric of the frozen base; see "
        "[rows](#rows-of-an-evaluation).",
        "once",
    ),
    KeptFile("final.json", "The frozen base in the evaluation after the search.", "once"),
    KeptFile("final_rows.npz", "What each row of that contributes to each metric.", "once"),
    KeptFile(
        "racing/<evaluation>/<id>.npz",
        "What the best trial at an evaluation lost on each row, where the search races; in the "
        "form of the [rows](#rows-of-an-evaluation). Without it all rows are asked.",
        "replaced",
    ),
    KeptFile("report.html", "The report page: one file that opens from disk.", "replaced"),
    KeptFile("figures/", "The figures of the page as SVG, for MLflow.", "replaced"),
    KeptFile("verdicts.json", "What the page says in sentences, for MLflow's tags.", "replaced"),
    KeptFile(
        "leaderboard.json", "All trials as a table, in the form of `mlflow.log_table`.", "replaced"
    ),
    KeptFile("mlflow.json", "What has been sent to MLflow.", "replaced"),
    KeptFile("mlflow.lock", "Held by the process that sends to MLflow."),
    KeptFile("driver.lock", "Held by the driver that runs the sweep."),
    KeptFile(
        "driver.json",
        "What the driver says of itself, every five seconds: start, machine, process, replicas.",
        "replaced",
    ),
    KeptFile("requests/", "What `stop` asks of the driver, a file each, until it is done."),
    KeptFile(
        "revisions.lock",
        "Held by whoever changes the sweep: an `extend`, a `resume --set`, a `clone`, a new limit.",
    ),
    KeptFile("ray/", "What Ray keeps of its runs. It may be deleted when the sweep is over."),
    KeptFile("tune/", "What Ray Tune keeps of the trials. It may be deleted then, too."),
    KeptFile(
        "clones/<id>/",
        "A trial that began where another one ended: the files of a trial, and `cloned_from.json`, "
        "which names parent, changes and tensors. No ranking or verdict reads it.",
    ),
    KeptFile("trials/<id>/", "One trial. `<id>` is 12 digits of the hash of what the trial is."),
)
"""What is in the folder of a sweep."""

TRIAL = (
    KeptFile(
        "spec.json", "What the trial is: spec, number, method, origin, searched values.", "once"
    ),
    KeptFile(
        "record.json", "How the trial stands; see [the record](#record-of-a-trial).", "replaced"
    ),
    KeptFile(
        "metrics.jsonl",
        "What the trial reported: a line for each step, with `step`, `unix_time_s`, `metrics`.",
        "grows",
    ),
    KeptFile(
        "checkpoint/",
        "The last two checkpoints: adapter, optimiser, step and random states. `resume` goes on "
        "from the newest that is sound.",
        "replaced",
    ),
    KeptFile("callbacks.log", "What callbacks print, and log to standard error.", "grows"),
    KeptFile("adapter/", "The trained adapter in PEFT's form.", "once"),
    KeptFile(
        "adapter.sha256",
        "Hashes of its files (`sha256sum -c`); an adapter with other bytes is not loaded.",
        "once",
    ),
    KeptFile(
        "chat_template.jinja",
        "The chat template that the trial was trained with, if `data.format.template` names one.",
        "once",
    ),
    KeptFile(
        "validation_rows.npz",
        "What each row contributes to each metric of the last evaluation in training; see "
        "[rows](#rows-of-an-evaluation). Only a complete trial has it.",
        "once",
    ),
    KeptFile(
        "validation_rows-<step>.npz",
        "The same of one evaluation in training; every one has it where `evaluation.keep_rows` is "
        "`every`, also of a trial that was stopped.",
        "once",
    ),
    KeptFile("final.json", "The trial in the evaluation after the search.", "once"),
    KeptFile("final_rows.npz", "What each row of that contributes to each metric.", "once"),
    KeptFile("evaluations/", "Results of `evaluate`, a file each.", "once"),
    KeptFile("inspections/", "Results of `inspect`, a file of each question.", "replaced"),
    KeptFile("exports/", "What `export` wrote, a folder for each format.", "once"),
    KeptFile(
        "taken_from.json",
        "Which sweep trained the trial, where its results were taken over.",
        "once",
    ),
    KeptFile(
        "leaderboard.json", "All trials as a table, in the form of `mlflow.log_table`.", "replaced"
    ),
    KeptFile("mlflow.json", "What has been sent to MLflow.", "replaced"),
)
"""What is in the folder of a trial."""

MIRROR = (
    KeptFile(".store.json", "In the folder of the copies: the URL that they are of.", "once"),
    KeptFile(
        ".mirror.json",
        "In a sweep's copy: the claim under which it was driven last, and whether the sweep runs "
        "elsewhere.",
        "replaced",
    ),
    KeptFile(
        ".keeper.lock",
        "In a sweep's copy: held by its driver as long as it puts what changes there.",
        "–",
    ),
    KeptFile(
        ".pushed.json",
        "In a sweep's copy and in each trial's: inode, size and time of each file when it was put "
        "to the URL or got from there.",
        "replaced",
    ),
    KeptFile(".push.lock", "Beside it: held by the process that does so."),
    KeptFile(".<sweep>.follow.lock", "Held by the process that brings a copy up to date."),
    KeptFile(
        "lease/<number>-<id>.claim",
        "At the URL: the process that drives the sweep, or was the last to.",
        "once",
    ),
    KeptFile(
        "lease/<number>-<id>.beat", "At the URL: its sign of life, every 10 seconds.", "replaced"
    ),
)
"""What a sweep at a URL has besides."""

_INTRODUCTION = """
A sweep lives in `<home>/<sweep>/`. `<home>` is `sweeps` unless `SWEEPER_HOME` or `--home` says
otherwise. If `<home>` is a URL, a copy of the sweep lies on this machine, and the same files lie at
the URL; see [sweep at a URL](#sweep-at-a-url). These files are the truth. MLflow's store is a view
of them and can be made again from them.

Files are replaced whole or only grow, so that a crash leaves the old content or the new. A file
that nothing has been written to yet is missing.

A file that something else has cut or changed is damaged, and so is one with a value that only a
newer version knows; a field that only a newer version knows is dropped. `report` names the file and
shows the rest. `resume` moves the file to `<file>.damaged` and does again what is lost with it;
without `sweep.json` it cannot. A damaged `mlflow.db` becomes `mlflow.db.damaged-1` and is made anew
from the records, by `resume` for one sweep and by `ui` for all. Links are not followed.

MLflow has rules for names. A metric or a parameter with another name, such as `accuracy (%)`, gets
one that MLflow takes, with 8 digits of a hash at its end: `accuracy ___-…`. The run's tag
`name_of.<that name>` says what it was. Values above 6,000 characters lose their end.
"""
_METRICS = """
A line `{"rewind_to": 40}` in `metrics.jsonl` says that the trial went on from step 40: what was
reported for later steps before that line no longer counts.
"""
_MIRROR = """
[Keep sweeps on S3, GCS or NFS](../how-to/store-sweeps.md) says what is put there and when. Not put
there are `racing/`, `ray/`, `tune/`, `exports/`, locks, and what is in the folder of all sweeps
besides them. `optuna.db` is put as a copy of one moment.
"""
_ROWS = """
`validation_rows.npz` and `final_rows.npz` take a few bytes a row. `numpy.load` reads them:

| array | what is in it |
|---|---|
| `about` | JSON in UTF-8: split, step, fingerprint, tasks, and where each metric is found. |
| `strata` | Number of each row's task, in `tasks`. |
| `clusters` | Number of each row's unit (`data.unit`, dialogue, clip). Missing if each is one. |
| `uint8`, `float16`, `float32` | Columns of numbers, each in the smallest type without a loss. |
| `row_sets` | Sets of rows, as bits (`numpy.unpackbits`). |

`columns` lists the columns in their order, each by the array that it is in. A metric is the column
`column` on the set of rows `rows`. What a row contributes is its own value, or a pseudo-value of
the jackknife where the metric is no mean. The fingerprint is a hash of the rows and their order;
trials are compared row by row where it is the same. The rows of a trial's last evaluation in
training are the one thing that `resume` does not make again when they are damaged.
"""
_RECORD = """
These are the fields of `record.json`. What is no number is one of the texts `NaN`, `Infinity` and
`-Infinity`.
"""


def files_page() -> str:
    """Returns the page."""
    return page(
        "Files of a sweep",
        _INTRODUCTION,
        _listing("Folder of all sweeps", HOME),
        _listing("Folder of a sweep", SWEEP),
        _listing("Folder of a trial", TRIAL),
        _METRICS,
        f"## Sweep at a URL\n\n{_MIRROR.strip()}\n\n" + _table(MIRROR),
        f"## Rows of an evaluation\n\n{_ROWS.strip()}",
        f"## Record of a trial\n\n{_RECORD.strip()}\n\n"
        + fields_table(TrialRecord, links={"error": "[section](#error-of-a-record) or `null`"}),
        "### Error of a record\n\n" + fields_table(TrialFailure),
    )


def _listing(heading: str, files: Iterable[KeptFile]) -> str:
    return f"## {heading}\n\n" + _table(files)


def _table(files: Iterable[KeptFile]) -> str:
    rows = [(code(file.name), file.content, file.written or "–") for file in files]
    return table(("file", "what is in it", "written"), rows)
