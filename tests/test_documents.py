"""Commands, targets, options, files and links that README and CONTRIBUTING name exist."""

import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = ("README.md", "CONTRIBUTING.md")
SHELL = {"", "sh", "bash", "shell", "console"}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def code_blocks(text: str) -> list[tuple[str, str]]:
    """The fenced and indented blocks of a document as (language, content)."""
    either = r"^```(\w*)\n(.*?)^```|((?:^ {4}\S[^\n]*\n?)+)"
    found = re.findall(either, text, re.MULTILINE | re.DOTALL)
    return [(language, fenced or indented) for language, fenced, indented in found]


def commands(name: str) -> list[list[str]]:
    """The commands of a document, in its order, without prompts, comments and variables."""
    found = []
    for language, block in code_blocks(read(name)):
        if language not in SHELL:
            continue
        for line in block.replace("\\\n", " ").splitlines():
            try:
                words = shlex.split(line.strip().removeprefix("$ "), comments=True)
            except ValueError:
                # Output that was pasted along, with a lone quotation mark.
                continue
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words = words[1:]
            if words:
                found.append(words)
    return found


def make_targets(text: str) -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", text, re.MULTILINE))


def sweeper_calls(name: str) -> list[list[str]]:
    """The arguments of every call of the sweeper in a document."""
    calls = []
    for words in commands(name):
        if words[0].endswith("sweeper"):
            calls.append(words[1:])
        elif words[1:3] == ["-m", "sweeper"]:
            calls.append(words[3:])
    return calls


def options(command: Any) -> set[str]:
    return {name for option in command.params for name in (*option.opts, *option.secondary_opts)}


@pytest.fixture(scope="module")
def cli():
    from sweeper.cli import app

    return typer.main.get_command(app)


def test_the_first_commands_are_the_two_that_need_nothing():
    assert commands("README.md")[:2] == [["make", "sweep"], ["make", "test"]]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_make_targets_exist(name):
    targets = make_targets(read("Makefile"))
    used = [words for words in commands(name) if words[0] == "make"]
    assert used
    for words in used:
        assert {word for word in words[1:] if "=" not in word} <= targets, words


def test_commands_and_options_exist(cli):
    calls = sweeper_calls("README.md")
    assert len(calls) > 5
    for words in calls:
        assert words, "a call without a command"
        assert words[0] in cli.commands, words
        given = {word.split("=")[0] for word in words if word.startswith("-")}
        assert given <= options(cli.commands[words[0]]) | {"--help"}, words


def test_every_command_is_in_the_readme(cli):
    text = read("README.md")
    assert [name for name in cli.commands if f"sweeper {name}" not in text] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_files_that_commands_name_exist(name):
    for words in commands(name):
        for word in words:
            if re.fullmatch(r"(?:search_spaces|benchmarks|tests|\.ci)/\S+", word):
                # In a pattern such as papers/*.yaml something must match.
                assert list(ROOT.glob(word.split("::")[0])), word


def test_profiles_that_commands_name_exist():
    for words in sweeper_calls("README.md"):
        for option, value in pairwise(words):
            if option == "--profile" and not value.endswith(".yaml"):
                assert (ROOT / "search_spaces" / "profiles" / f"{value}.yaml").is_file(), value


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_within_the_project_lead_somewhere(name):
    targets = re.findall(r"\]\(([^)\s]+)\)", read(name))
    for target in targets:
        if "://" not in target and not target.startswith(("#", "mailto:")):
            assert (ROOT / target.split("#")[0]).exists(), target


def test_python_in_the_readme_compiles():
    for language, block in code_blocks(read("README.md")):
        if language == "python":
            compile(block, "README.md", "exec")


def test_environment_variables_are_in_the_readme():
    sources = [path.read_text("utf-8") for path in sorted((ROOT / "sweeper").rglob("*.py"))]
    assert len(sources) > 20
    names = {name for text in sources for name in re.findall(r'"(SWEEPER_[A-Z_]+)"', text)}
    readme = read("README.md")
    assert {name for name in names if name not in readme} == set()


def test_every_search_space_is_in_the_readme():
    spaces = sorted((ROOT / "search_spaces").glob("*.yaml"))
    assert spaces
    readme = read("README.md")
    assert [path.name for path in spaces if path.name not in readme] == []


def test_ci_runs_what_the_readme_names():
    called = re.search(r"for target in ([a-z -]+);", read(".ci/run"))
    assert called is not None
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
    for target in called[1].split():
        assert ["make", target] in commands("README.md")


def test_a_commit_runs_what_check_runs():
    (repository,) = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    hooks = {hook["entry"].split()[-1] for hook in repository["hooks"]}
    checked = re.search(r"^check: ([a-z ]+)", read("Makefile"), re.MULTILINE)
    assert checked is not None
    assert hooks == set(checked[1].split())


def test_benches_of_the_makefile_exist():
    scripts = re.findall(r"benchmarks/\w+\.py", read("Makefile"))
    assert scripts
    assert [name for name in scripts if not (ROOT / name).is_file()] == []
