"""The page on environment variables, and the list that it is made from."""

from __future__ import annotations

from dataclasses import dataclass

from sweeper_docs.markdown import code, page, table

__all__ = ["DEFAULTS_OF_OTHERS", "VARIABLES", "Variable", "environment_page"]


@dataclass(frozen=True)
class Variable:
    """An environment variable that the project reads."""

    name: str
    meaning: str
    """What it sets, and what it may be."""
    default: str
    """What holds where it is not set."""


VARIABLES = (
    Variable(
        "SWEEPER_HOME",
        "Folder of all sweeps, or a [URL](../how-to/store-sweeps.md).",
        "`sweeps` in the working folder",
    ),
    Variable(
        "SWEEPER_COPIES",
        "Folder of the working copies of sweeps that are kept at a URL.",
        "`masa-mosa-sweeper/sweeps` in the user's data folder",
    ),
    Variable(
        "SWEEPER_OPTUNA_STORAGE",
        "[PostgreSQL database](../how-to/store-sweeps.md#postgresql-for-several-drivers) of the "
        "studies of new sweeps, and of sweeps that were begun there; "
        "`postgresql://user:password@host/database`.",
        "a file in the folder of each sweep",
    ),
    Variable(
        "SWEEPER_DATA",
        "Folder of the [tasks'](tasks.md) data, and where relative data paths start from.",
        "the Hub; the working folder",
    ),
    Variable(
        "SWEEPER_CACHE",
        "Folder of converted models, token ids, results of data checks and measured costs of "
        "trials. It may be deleted.",
        "`masa-mosa-sweeper` in the user's cache folder",
    ),
    Variable(
        "SWEEPER_FORK_SERVER",
        "`0`: each process of a local Ray is a Python of its own, which starts later than a "
        "[fork](../explanation/warm-replicas.md#the-fork-server).",
        "forks",
    ),
    Variable(
        "SWEEPER_CALIBRATION_S",
        "Seconds that a [forecast](../how-to/limit-a-sweep.md) may measure real steps for; at 0 it "
        "measures none.",
        "60",
    ),
    Variable(
        "SWEEPER_KERNELS",
        "`triton`, `native` or `torch`: what the operations of MoSA and MASA run on. With `torch` "
        "a CPU's products of matrices are torch's own, too, and never oneDNN's.",
        "the fastest that is there",
    ),
    Variable("CC", "C compiler of the kernels for CPUs.", "the first of cc, gcc, clang"),
    Variable(
        "XDG_CACHE_HOME", "The user's cache folder; compiled kernels are kept there.", "`~/.cache`"
    ),
    Variable(
        "XDG_DATA_HOME",
        "The user's data folder; working copies of sweeps are kept there.",
        "`~/.local/share`",
    ),
    Variable(
        "AWS_ENDPOINT_URL_S3",
        "Address of an S3 server that is not Amazon's, for sweeps at `s3://…`.",
        "`AWS_ENDPOINT_URL`",
    ),
    Variable("AWS_ENDPOINT_URL", "The same, for all of Amazon's services.", "Amazon"),
    Variable("MLFLOW_TRACKING_URI", "MLflow's store.", "SQLite in the folder of all sweeps"),
    Variable(
        "MLFLOW_EXPERIMENT_NAME",
        "MLflow's experiment of a new sweep; one that was sent to MLflow before stays where it is.",
        "`sweeper`",
    ),
    Variable("RAY_ADDRESS", "Ray cluster to run on.", "this machine"),
    Variable(
        "RAY_TMPDIR",
        "Folder of the temporary files of a Ray on this machine; `/tmp` in the place of one whose "
        "path is too long for a socket.",
        "`TMPDIR`",
    ),
    Variable("TMPDIR", "Folder of temporary files.", "`/tmp`"),
    Variable(
        "HF_HUB_OFFLINE", "`1` keeps models and data of the Hub to those in its cache.", "not set"
    ),
    Variable(
        "TRITON_INTERPRET",
        "`1` runs the Triton kernels in Triton's interpreter on a CPU, for tests.",
        "not set",
    ),
)
"""What the project reads, and what a user may set."""

DEFAULTS_OF_OTHERS = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "The Hub draws no progress bars.",
    "MLFLOW_DISABLE_TELEMETRY": "MLflow sends no telemetry.",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "MLflow keeps off standard output.",
    "MLFLOW_LOGGING_LEVEL": "MLflow logs warnings and errors.",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "A server that does not answer is asked twice more.",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "A request to the server ends after 20 seconds.",
    "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "MLflow keeps no connection to an SQLite store open.",
    "DS_ACCELERATOR": "DeepSpeed runs on the CPU where there is no GPU.",
    "RAY_AUTH_MODE": "A cluster of this machine without a token is not shown the user's.",
    "RAY_AUTH_TOKEN": "A local Ray has its token where the home takes no file.",
    "LOCAL_RANK": "DeepSpeed learns which device a worker has.",
}
"""Variables of other programs that are set where the user has not set them, and to what end."""

_INTRODUCTION = """
An option of a [command](commands.md) goes before the variable that sets the same.
"""
_OTHERS = """
These are set for the processes of a sweep, each only where it is not set already. Settings of Ray
(`RAY_…`, `TUNE_…`) come with them: they keep Ray from logging twice and from changing the working
folder.
"""


def environment_page() -> str:
    """Returns the page."""
    read = [(code(x.name), x.meaning, x.default) for x in VARIABLES]
    others = [(code(name), meaning) for name, meaning in DEFAULTS_OF_OTHERS.items()]
    return page(
        "Environment variables",
        _INTRODUCTION,
        "## What may be set\n\n" + table(("variable", "meaning", "default"), read),
        f"## What is set for other programs\n\n{_OTHERS.strip()}\n\n"
        + table(("variable", "what for"), others),
    )
