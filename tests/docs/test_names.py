"""Files and modules that documents name in running text exist."""

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.docs.documents import DOCUMENTS, ROOT, name_of, prose, written

FOLDERS = "sweeper|adapters|kernels|tests|benchmarks|search_spaces|docs|\\.ci"
# With a place to put something in, such as <name>, a path is a form.
NAMED_PATH = re.compile(rf"`((?:{FOLDERS})/[\w./*-]+)`")
NAMED_MODULE = re.compile(r"`(sweeper(?:_adapters|_kernels)?(?:\.\w+)+)(?:\(\))?`")
# By a reader who follows the pages.
MADE = {name for path in DOCUMENTS for name in written(path)}


def texts(path: Path, pattern: re.Pattern[str]) -> list[str]:
    return pattern.findall("\n".join(line for _, line in prose(path)))


def is_there(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        module = ".".join(parts[:length])
        try:
            is_module = find_spec(module) is not None
        except ModuleNotFoundError:
            continue
        if is_module:
            found: object = import_module(module) if length < len(parts) else None
            for part in parts[length:]:
                found = getattr(found, part, None)
            return length == len(parts) or found is not None
    return False


def test_documents_name_files():
    assert sum(len(texts(path, NAMED_PATH)) for path in DOCUMENTS) > 20


# What was at the time of a release stays in the changelog.
@pytest.mark.parametrize(
    "path", [path for path in DOCUMENTS if path.name != "CHANGELOG.md"], ids=name_of
)
def test_named_files_exist(path: Path):
    for name in texts(path, NAMED_PATH):
        assert name in MADE or list(ROOT.glob(name.rstrip("/"))), name


@pytest.mark.parametrize(
    "path", [path for path in DOCUMENTS if path.name != "CHANGELOG.md"], ids=name_of
)
def test_named_modules_exist(path: Path):
    for name in texts(path, NAMED_MODULE):
        assert is_there(name), name
