"""The form of documents: length of lines and of the README, languages and marks of blocks."""

import re
from pathlib import Path

import pytest
import yaml

from tests.docs.documents import DOCUMENTS, LANGUAGES, NEEDS, ROOT, RUNS, blocks, name_of, prose

MAX_LINE = 120
MAX_README_LINES = 120


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_no_line_is_too_long(path: Path):
    # A table's row is one line, and a link cannot be broken.
    long = [
        f"{name_of(path)}:{number}: {len(line)}"
        for number, line in prose(path)
        if len(re.sub(r"\]\([^)]*\)", "]", line)) > MAX_LINE and not line.lstrip().startswith("|")
    ]
    assert long == []


def test_the_readme_is_short():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").count("\n")
    assert lines <= MAX_README_LINES


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_blocks_say_what_they_are(path: Path):
    for block in blocks(path):
        assert block.language in LANGUAGES, f"{block.where}: language {block.language!r}"
        for need in filter(None, block.mark("needs").split(", ")):
            assert need in NEEDS, f"{block.where}: needs {need!r}"
        assert block.mark("shows") in {"", "output"}, block.where
        assert block.mark("exits") in {"", "1", "2"}, block.where


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_marks_stand_above_a_block(path: Path):
    marks = sum(bool(re.match(r" *<!-- (needs|runs|shows|exits)", x)) for _, x in prose(path))
    assert marks == sum(len(block.marks) for block in blocks(path))


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_what_is_run_elsewhere_is_run_there(path: Path):
    for block in blocks(path):
        if not block.mark("runs"):
            continue
        assert block.mark("runs") in RUNS, f"{block.where}: {block.mark('runs')}"
        # The build of the pages executes notebooks, and fails where a cell does.
        if block.language == "python":
            assert block.mark("runs") == "make docs", block.where
            assert path.with_suffix(".ipynb").is_file(), block.where
            continue
        commands = [line.partition("#")[0].strip() for line in block.text.splitlines()]
        assert set(filter(None, commands)) <= set(RUNS), block.where


def test_json_and_toml_can_be_read():
    import json
    import tomllib

    for path in DOCUMENTS:
        for block in blocks(path):
            if block.language == "json":
                json.loads(block.text)
            if block.language == "toml":
                tomllib.loads(block.text)


def test_the_front_matter_can_be_read():
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        if text.startswith("---\n"):
            assert isinstance(yaml.safe_load(text.split("---\n")[1]), dict), name_of(path)
