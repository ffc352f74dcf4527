"""Commands, targets, options, files and profiles that documents name exist."""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from sweeper_docs.commands import commands
from tests.docs.documents import DOCUMENTS, ROOT, blocks, name_of, prose, written

# What the program takes before a command.
OF_ALL = {"--help", "--version", "--install-completion", "--show-completion"}
COMMANDS = dict(commands())
# A file that a block writes.
HERE = re.compile(r"<< *'?(\w+)'?\n.*?^\1$", re.MULTILINE | re.DOTALL)
FOLDERS = r"(?:search_spaces|benchmarks|tests|docs|\.ci)/\S+"


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def lines_of(path: Path) -> list[list[str]]:
    """The commands of a document, in its order, without prompts, comments and variables."""
    found = []
    for block in blocks(path):
        if block.language != "sh":
            continue
        for line in HERE.sub("", block.text).replace("\\\n", " ").splitlines():
            words = shlex.split(line.strip().removeprefix("$ "), comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words = words[1:]
            if words:
                found.append(words)
    return found


def inline(path: Path) -> list[list[str]]:
    """The commands in a document's running text, as far as they are whole."""
    text = "\n".join(line for _, line in prose(path))
    found = re.findall(r"`((?:python -m sweeper|make) [^`]+)`", text)
    return [shlex.split(re.sub(r"\s+", " ", one).replace("…", "")) for one in found]


def sweeper_calls(path: Path) -> list[list[str]]:
    """The arguments of every call of the sweeper in a document."""
    calls = []
    for words in [*lines_of(path), *inline(path)]:
        if words[0].endswith("sweeper"):
            calls.append(words[1:])
        elif words[1:3] == ["-m", "sweeper"]:
            calls.append(words[3:])
    # A form, such as `python -m sweeper COMMAND`, and a module that is run by itself.
    return [words for words in calls if words and words[0] != "COMMAND"]


def called(words: list[str]) -> str:
    """The command that words begin with: `data check` for one of a group."""
    return " ".join(words[:2]) if words[0] == "data" else words[0]


def options(name: str) -> set[str]:
    params = COMMANDS[name].params
    return {option for param in params for option in (*param.opts, *param.secondary_opts)}


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", read("Makefile"), re.MULTILINE))


def test_documents_call_the_sweeper():
    assert sum(len(sweeper_calls(path)) for path in DOCUMENTS) > 10


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_make_targets_exist(path: Path):
    for words in [*lines_of(path), *inline(path)]:
        if words[0] == "make":
            used = {word for word in words[1:] if "=" not in word and not word.startswith("-")}
            assert used <= targets(), words


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_commands_and_options_exist(path: Path):
    for words in sweeper_calls(path):
        name = called(words)
        if name in OF_ALL:
            continue
        assert name in COMMANDS, words
        given = {word.split("=")[0] for word in words if word.startswith("--")}
        assert given <= options(name) | {"--help"}, words


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_files_that_commands_name_exist(path: Path):
    own = written(path)
    for words in [*lines_of(path), *inline(path)]:
        for word in words:
            if re.fullmatch(FOLDERS, word) and word not in own and not word.isupper():
                # In a pattern such as papers/*.yaml something must match.
                assert list(ROOT.glob(word.split("::")[0])), word


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_profiles_that_commands_name_exist(path: Path):
    own = {Path(name).stem for name in written(path)}
    for words in sweeper_calls(path):
        for option, value in pairwise(words):
            if option == "--profile" and re.fullmatch(r"[a-z0-9.-]+", value) and value not in own:
                profile = ROOT / "search_spaces" / "profiles" / f"{value}.yaml"
                assert value.endswith(".yaml") or profile.is_file(), value


def test_ci_runs_targets_that_contributors_are_told_of():
    calls = re.findall(r"^make (?:-j 2 -O )?([a-z ]+)$", read(".ci/run"), re.MULTILINE)
    run = " ".join(calls).split()
    assert run == ["test", "conformance", "check"]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
    contributing = read("CONTRIBUTING.md")
    assert [target for target in run if f"make {target}" not in contributing] == []
    assert set(run) <= targets()


def test_a_commit_runs_what_check_runs():
    (repository,) = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    hooks = {hook["entry"].split()[-1] for hook in repository["hooks"]}
    checked = re.search(r"^check: ([a-z ]+)", read("Makefile"), re.MULTILINE)
    assert checked is not None
    assert hooks == set(checked[1].split())


def test_benches_of_the_makefile_exist():
    scripts = re.findall(r"benchmarks/[\w/]+\.py", read("Makefile"))
    assert scripts
    assert [name for name in scripts if not (ROOT / name).is_file()] == []
