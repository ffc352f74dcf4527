"""The reference is what the code says, and lacks nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sweeper_docs.commands import commands
from sweeper_docs.environment import DEFAULTS_OF_OTHERS, VARIABLES
from sweeper_docs.methods import agreement
from sweeper_docs.project import SPACES, TASKS, method_specs, paper_files
from sweeper_docs.results import INDEX, results_index
from sweeper_docs.writing import PAGES, REFERENCE, navigation_problems
from tests.docs.documents import DOCUMENTS, ROOT

PACKAGES = ("sweeper", "adapters/sweeper_adapters", "kernels/sweeper_kernels")
# Read to decide whether a browser can be opened: no setting of ours.
NOT_OURS = {"DISPLAY", "WAYLAND_DISPLAY"}
HEADER = "| method | source | mergeable | exports to LoRA | needs task ids | counts as published |"


def read(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_up_to_date(name):
    assert read(name) == PAGES[name](), f"{name} is behind the code; run: make docs"


def test_the_table_of_the_papers_results_is_up_to_date():
    text = INDEX.read_text(encoding="utf-8")
    assert text == results_index(text), "docs/results/index.md is behind; run: make docs"
    assert [file.name for file in paper_files() if f"`{file.name}` |" not in text] == []
    line = next(x for x in text.splitlines() if "`masa_table4` |" in x)
    assert "[`embedded`, 5 seeds × 256 rows](masa_table4.md)" in line
    # Of the five rows beside the baseline, as the report of this sweep has them.
    assert line.endswith(
        "| 2 not distinguishable, 2 equivalent within 0.1, 1 replicated in direction; not alike in "
        "size |"
    )


def test_every_page_of_the_reference_is_made():
    assert {path.name for path in REFERENCE.iterdir()} == set(PAGES)


def test_the_navigation_has_every_page():
    assert navigation_problems() == []


def test_every_command_and_option_is_in_the_reference():
    text = read("commands.md")
    found = dict(commands())
    assert len(found) > 8
    for name, command in found.items():
        section = text.split(f"\n## {name}\n")[1].split("\n## ")[0]
        for param in command.params:
            names = param.opts if param.param_type_name == "option" else [param.metavar or ""]
            assert all(option in section for option in names), (name, names)


def test_every_packaged_file_is_in_the_reference():
    files = [*SPACES.rglob("*.yaml")]
    assert len(files) > 20
    text = read("spaces-and-profiles.md")
    for path in files:
        shown = path.stem if path.parent.name == "profiles" else path.relative_to(ROOT).as_posix()
        assert f"| `{shown}` |" in text


def test_every_task_is_in_the_reference():
    text = read("tasks.md")
    assert len(TASKS) > 20
    assert [name for name in TASKS if f"| `{name}` |" not in text] == []


def environment_names() -> Iterator[str]:
    """The environment variables that the packages name in calls and subscripts of `environ`."""
    paths = [path for folder in PACKAGES for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(paths) > 50
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(value=value), args=[ast.Constant(value=name), *_]):
                    pass
                case ast.Subscript(value=value, slice=ast.Constant(value=name)):
                    pass
                case _:
                    continue
            if ast.unparse(value) in {"os.environ", "environ"} and isinstance(name, str):
                yield name


def test_every_environment_variable_is_in_the_reference():
    known = {variable.name for variable in VARIABLES} | set(DEFAULTS_OF_OTHERS)
    found = set(environment_names())
    assert len(found) > 8
    assert found - known - NOT_OURS == set()


def test_every_environment_variable_of_the_reference_is_in_the_code():
    sources = "".join(
        path.read_text(encoding="utf-8")
        for folder in PACKAGES
        for path in sorted((ROOT / folder).rglob("*.py"))
    )
    names = [variable.name for variable in VARIABLES] + list(DEFAULTS_OF_OTHERS)
    assert [name for name in names if name not in sources] == []


def test_every_variable_that_documents_name_is_in_the_reference():
    known = {variable.name for variable in VARIABLES}
    for path in DOCUMENTS:
        named = set(re.findall(r"\bSWEEPER_[A-Z]+\b", path.read_text(encoding="utf-8")))
        assert named <= known, path


def rows() -> dict[str, list[str]]:
    """The table of methods: cells by name."""
    lines = read("methods.md").splitlines()
    start = lines.index(HEADER) + 2
    found = {}
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        name, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        found[re.sub(r"[\[\]`]|\(.*\)", "", name)] = cells
    return found


def test_the_table_has_every_method():
    assert set(rows()) == set(method_specs())
    assert len(rows()) >= 24


@pytest.mark.parametrize("name", method_specs())
def test_a_row_says_what_the_spec_says(name):
    spec = method_specs()[name]()
    source, mergeable, exports, needs, _ = rows()[name]
    assert source == spec.source
    # A mark tells of the settings for which it is otherwise.
    assert mergeable.rstrip("¹²³⁴") == ("yes" if spec.is_mergeable else "no")
    assert exports.rstrip("¹²³⁴") == ("yes" if spec.exports_lora else "no")
    assert needs.rstrip("¹²³⁴") == ("yes" if spec.needs_task_ids else "no")


def test_a_row_says_how_many_published_counts_are_met():
    met = agreement()
    assert sum(len(found) for found in met.values()) > 50
    for name, cells in rows().items():
        found = met.get(name)
        assert cells[-1] == (f"{sum(found)} of {len(found)}" if found else "–"), name


def test_documents_agree_on_how_many_published_counts_are_met():
    every = [is_met for found in agreement().values() for is_met in found]
    text = f"{sum(every)} of {len(every)}"
    assert text in read("methods.md")
    total = rf"\b(\d+) of {len(every)}\b"
    for path in DOCUMENTS:
        said = re.findall(total, path.read_text(encoding="utf-8"))
        assert set(said) <= {str(sum(every))}, path


def test_documents_agree_on_how_many_methods_there_are():
    count = len(method_specs())
    for path in DOCUMENTS:
        said = re.findall(r"\b(\d+) methods\s+in\s+all\b", path.read_text(encoding="utf-8"))
        assert set(said) <= {str(count)}, path


def test_every_field_is_told_of():
    # A field without a text under it would be an empty cell.
    for name in PAGES:
        for line in read(name).splitlines():
            if line.startswith("| `"):
                cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
                assert all(cells), f"{name}: {line}"


@pytest.mark.parametrize("path", [REFERENCE / name for name in PAGES], ids=lambda x: x.name)
def test_nothing_of_a_docstring_is_left_raw(path: Path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert not re.search(r"``|:(?:class|mod|meth|func):", text)
