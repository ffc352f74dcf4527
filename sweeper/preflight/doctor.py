"""What is installed, which backend is used, what is missing and how to install it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from sweeper._environment import data_root, optuna_storage, sweeps_home
from sweeper.errors import SweeperError
from sweeper.evaluation.sandbox.run import isolation
from sweeper.models import EmbeddedModelSpec, GgufModelSpec, ModelSpec

__all__ = ["InstallFinding", "examine"]

REQUIRED = (
    "ray",
    "torch",
    "transformers",
    "peft",
    "deepspeed",
    "datasets",
    "optuna",
    "mlflow",
    "pydantic",
)
OPTIONAL = (
    ("bitsandbytes", "quantization", "needed by qlora"),
    ("lm-eval", "harness", "needed by evaluate --harness"),
    ("optuna-dashboard", "dashboard", "needed by ui --optuna"),
    ("psycopg", "postgresql", "needed by PostgreSQL, for studies and MLflow"),
    ("nltk", "metrics", "needed by METEOR"),
    ("rouge-score", "metrics", "needed by ROUGE-L"),
    ("sacrebleu", "metrics", "needed by BLEU"),
)
"""Packages, the extra that has them, and who needs them."""
WALLED = "run on Linux with user namespaces enabled, or in a virtual machine"
FREE_BYTES_WANTED = 2 * 10**9


@dataclass(frozen=True)
class InstallFinding:
    """One thing that was checked."""

    name: str
    status: Literal["ok", "optional", "missing"]
    """``optional``: not there, and only some profiles want it."""
    detail: str
    fix: str = ""
    """The command that installs it."""

    def document(self) -> dict[str, str]:
        """Returns the finding as plain JSON."""
        return asdict(self)


def examine() -> list[InstallFinding]:
    """Returns all findings; nothing is changed."""
    checks: list[Callable[[], Iterator[InstallFinding]]] = [
        _python,
        _packages,
        _devices,
        _kernels,
        _models,
        _sandbox,
        _storage,
        _study,
    ]
    return [finding for check in checks for finding in check()]


def _python() -> Iterator[InstallFinding]:
    # An older Python does not get here: the package does not install on it.
    yield InstallFinding("python", "ok", platform.python_version())


def _packages() -> Iterator[InstallFinding]:
    for name in REQUIRED:
        try:
            yield InstallFinding(name, "ok", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield InstallFinding(name, "missing", "not installed", "make install")
    for name, extra, reason in OPTIONAL:
        try:
            yield InstallFinding(name, "ok", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            fix = f"pip install 'masa-mosa-sweeper[{extra}]'"
            yield InstallFinding(name, "optional", f"not installed; {reason}", fix)


def _devices() -> Iterator[InstallFinding]:
    yield InstallFinding("cpu", "ok", f"{os.cpu_count()} cores")
    try:
        import torch
    except ImportError:
        return
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            size = f"{properties.total_memory / 1e9:.0f} GB"
            yield InstallFinding(f"gpu {index}", "ok", f"{properties.name}, {size}")
        yield InstallFinding("deepspeed backend", "ok", "cuda, NCCL")
        compiler = shutil.which("nvcc")
        if compiler is None:
            fix = "install the CUDA toolkit of your torch build"
            yield InstallFinding("nvcc", "optional", "CPU offload compiles an operator", fix)
    else:
        build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU build of torch"
        fix = "run on a GPU cluster: python -m sweeper launch"
        yield InstallFinding("gpu", "optional", f"none is visible ({build})", fix)
        yield InstallFinding("deepspeed backend", "ok", "cpu, gloo")


def _kernels() -> Iterator[InstallFinding]:
    try:
        import torch
    except ImportError:
        return
    from sweeper_kernels import choose

    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for device in devices:
        try:
            backend = choose(torch.empty(0, device=device))
        except ValueError as error:
            yield InstallFinding("kernels", "missing", str(error), "unset SWEEPER_KERNELS")
            return
        detail = f"{backend} on {device}"
        if backend == "torch":
            fix = "install a C compiler" if device == "cpu" else "pip install triton"
            yield InstallFinding("kernels", "optional", f"{detail}, several times slower", fix)
        else:
            yield InstallFinding("kernels", "ok", detail)


def _models() -> Iterator[InstallFinding]:
    models: list[tuple[str, ModelSpec]] = [("embedded model", EmbeddedModelSpec())]
    models.append(("SmolLM2-135M (profile smollm2)", GgufModelSpec()))
    for name, model in models:
        try:
            model.require_available()
        except SweeperError as error:
            yield InstallFinding(name, "optional", "not there", str(error))
        else:
            yield InstallFinding(name, "ok", "there")
    root = data_root()
    if root is None:
        fix = "export SWEEPER_DATA=<folder>, or --set data.root=<folder>"
        yield InstallFinding("data folder", "optional", "SWEEPER_DATA is not set", fix)
    elif root.is_dir():
        yield InstallFinding("data folder", "ok", str(root))
    else:
        yield InstallFinding(
            "data folder", "missing", f"{root} is not a folder", "correct SWEEPER_DATA"
        )


def _sandbox() -> Iterator[InstallFinding]:
    name = "sandbox of HumanEval"
    try:
        found = isolation()
    except SweeperError as error:
        yield InstallFinding(name, "optional", f"needed by HumanEval; {error}", WALLED)
        return
    if found.is_complete:
        yield InstallFinding(name, "ok", str(found))
    else:
        detail = f"{found}; a program that bypasses the hook can {found.dangers}"
        yield InstallFinding(name, "optional", detail, WALLED)


def _storage() -> Iterator[InstallFinding]:
    home = sweeps_home()
    existing = next(path for path in [home.absolute(), *home.absolute().parents] if path.exists())
    free = shutil.disk_usage(existing).free
    detail = f"{home} ({free / 1e9:.0f} GB free)"
    if not os.access(existing, os.W_OK):
        yield InstallFinding("sweeps", "missing", f"{home} cannot be written", "set SWEEPER_HOME")
    elif free < FREE_BYTES_WANTED:
        yield InstallFinding("sweeps", "missing", detail, "free disk space, or set SWEEPER_HOME")
    else:
        yield InstallFinding("sweeps", "ok", detail)
    shared = Path("/dev/shm")
    if shared.exists() and shutil.disk_usage(shared).free < FREE_BYTES_WANTED // 8:
        yield InstallFinding(
            "/dev/shm",
            "missing",
            "less than 250 MB free: Ray's object store spills to disk",
            "enlarge it",
        )


def _study() -> Iterator[InstallFinding]:
    from sweeper.search import require_study_storage
    from sweeper.tracking.databases import public_uri

    uri = optuna_storage()
    if not uri:
        return
    try:
        require_study_storage()
    except SweeperError as error:
        fix = "correct or unset SWEEPER_OPTUNA_STORAGE"
        yield InstallFinding("studies' database", "missing", str(error), fix)
    else:
        yield InstallFinding("studies' database", "ok", f"{public_uri(uri)} answers")
