"""Runs PEFT's own tests of tuners on our tuners, and says what came of it.

The tests are in PEFT's source distribution, not in its wheel: the one of the installed version is
downloaded once, by pip, into the environment. Nothing of it is kept in this repository.

    python -m tests.conformance [arguments of pytest]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

HERE = Path(__file__).parent
PACKAGE = "peft_tests"
FAILED = ("failure", "error")


def fetch(folder: Path) -> None:
    """Puts PEFT's tests, as a package, into ``folder``, unless they are there."""
    if (folder / "complete").is_file():
        return
    release = f"peft=={version('peft')}"
    with tempfile.TemporaryDirectory() as downloads:
        # Its build requirements are those of any package here, and nothing of it is built.
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--no-build-isolation", "--no-binary", "peft", "--dest", downloads, release]
        subprocess.run(command, check=True)
        [archive] = Path(downloads).glob("peft-*.tar.gz")
        with tarfile.open(archive) as files:
            files.extractall(downloads, filter="data")
        [tests] = Path(downloads).glob("peft-*/tests")
        package = folder / PACKAGE
        package.mkdir(parents=True, exist_ok=True)
        for path in tests.glob("*.py"):
            (package / path.name).write_bytes(path.read_bytes())
    (package / "__init__.py").touch()
    # The tests import one class of a package that none of those that run here needs.
    (folder / "diffusers.py").write_text("class StableDiffusionPipeline: ...\n", encoding="utf-8")
    (folder / "complete").touch()


def run(folder: Path, arguments: list[str]) -> int:
    """Runs the tests; returns pytest's exit code."""
    report = folder / "report.xml"
    report.unlink(missing_ok=True)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    # Their warnings are theirs: PEFT's suite does not run with warnings as errors.
    command = [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "-o", "filterwarnings="]
    command += ["-W", "ignore", "--import-mode=importlib", "-p", "no:cacheprovider"]
    command += [f"--junit-xml={report}", str(HERE / "suite.py"), *arguments]
    code = subprocess.run(command, env=environment, cwd=HERE.parents[1], check=False).returncode
    if report.is_file():
        summarise(report)
    return code


def summarise(report: Path) -> None:
    """Prints how many tests passed, failed and were skipped, and why."""
    cases = list(ElementTree.parse(report).iter("testcase"))
    skipped = [found for case in cases for found in case.iter("skipped")]
    failed = [case for case in cases if any(True for kind in FAILED for _ in case.iter(kind))]
    passed = len(cases) - len(skipped) - len(failed)
    print(f"\nPEFT {version('peft')}'s own tests on our tuners, skipped ones by reason:")
    reasons = Counter(found.get("message", "") for found in skipped)
    for reason, count in reasons.most_common():
        print(f"  {count:5d}  {reason}")
    print(f"{passed} passed, {len(failed)} failed, {len(skipped)} skipped")


def main() -> int:
    """Fetches the tests and runs them."""
    folder = Path(sys.prefix) / "share" / f"peft-tests-{version('peft')}"
    fetch(folder)
    return run(folder, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
