"""The notebooks among the pages: without outputs, as their pages say, and executed by the build."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sweeper_docs import writing
from sweeper_docs.executing import NotebookError, outputs_of, write_outputs
from sweeper_docs.notebooks import (
    NOTEBOOKS,
    OUTPUTS,
    code_cells,
    notebook_page,
    output_name,
    page_of,
)
from tests.docs.documents import DOCUMENTS, ROOT, blocks, name_of

# Shown as the sweeper shows a plan.
PLAIN = """class Plan:
    def _repr_html_(self):
        return "<pre style='color: red'>1 &lt; 2</pre>"
Plan()"""
TABLE = """import pandas
pandas.DataFrame({"loss": [0.5]}, index=["lora"])"""


def notebook_of(folder: Path, *cells: str) -> Path:
    """A notebook with a title and cells of code."""
    made = [
        {"cell_type": "markdown", "id": "t", "metadata": {}, "source": ["# Small\n", "\n", "A."]}
    ]
    for number, text in enumerate(cells):
        empty: dict[str, Any] = {"execution_count": None, "metadata": {}, "outputs": []}
        made.append({"cell_type": "code", "id": f"c{number}", **empty, "source": [text]})
    content = {"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path = folder / "small.ipynb"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_there_is_a_notebook():
    assert NOTEBOOKS
    assert {page_of(path) for path in NOTEBOOKS} <= set(DOCUMENTS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_a_notebook_is_kept_without_outputs(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    for cell in code:
        assert (cell["outputs"], cell["execution_count"]) == ([], None), f"{cell['id']}: clear it"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_the_page_of_a_notebook_is_up_to_date(path):
    made = notebook_page(path)
    assert page_of(path).read_text(encoding="utf-8") == made, "it is behind; run: make docs"
    text = "".join(block.text for block in blocks(page_of(path)) if block.language == "python")
    assert text == "".join(f"{code}\n" for code in code_cells(path))


def test_the_pages_read_outputs_where_the_build_writes_them():
    folder = OUTPUTS.relative_to(ROOT).as_posix()
    assert f'base_path = ["{folder}"]' in (ROOT / "zensical.toml").read_text(encoding="utf-8")
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert f"{folder.partition('/')[0]}/" in ignored


def test_a_page_names_what_its_cells_show(tmp_path):
    page = notebook_page(notebook_of(tmp_path, "1 + 1", "2"))
    assert page.startswith("# Small\n\n<!-- Made by `make docs` from small.ipynb.")
    assert '```python\n1 + 1\n```\n\n--8<-- "small/1.md"\n' in page
    assert page.endswith('--8<-- "small/2.md"\n')


def test_cells_are_executed_in_a_folder_of_their_own(tmp_path):
    pytest.importorskip("nbclient")
    looked = "from pathlib import Path; print([*Path().iterdir()], '```')\nPath('x').touch()"
    path = notebook_of(tmp_path, looked, "value = 1", "print('\\x1b[1mso'); 2", TABLE, PLAIN)
    shown, nothing, both, table, plain = outputs_of(path)
    assert shown == "````text\n[] ```\n````\n"
    assert nothing.strip() == ""
    assert both == "```text\nso\n```\n\n```text\n2\n```\n"
    assert plain == "```text\n1 < 2\n```\n"
    assert table.startswith("<div>\n<div>\n<table>")
    assert "<td>0.5</td>" in table
    assert "<style" not in table
    write_outputs([path], folder=tmp_path / "outputs")
    assert (tmp_path / "outputs" / output_name(path, 3)).read_text() == both
    assert {item.name for item in tmp_path.iterdir()} == {"small.ipynb", "outputs"}


def test_the_sweeper_brings_no_warning_into_a_notebook(tmp_path):
    pytest.importorskip("nbclient")
    # Optuna's progress bars would ask for ipywidgets.
    text = "import sweeper\nsweeper.plan\nimport optuna"
    assert outputs_of(notebook_of(tmp_path, text)) == ["\n"]


def test_a_cell_that_fails_is_named(tmp_path):
    pytest.importorskip("nbclient")
    path = notebook_of(tmp_path, "rows = 0", "1 / rows", "print('never')")
    outputs = tmp_path / "outputs"
    with pytest.raises(NotebookError) as told:
        write_outputs([path], folder=outputs)
    first, second, *_ = str(told.value).splitlines()
    assert first == "small.ipynb: code cell 2 of 3 fails with ZeroDivisionError: division by zero"
    assert second == "1 / rows"
    assert not outputs.exists()


def test_a_kernel_that_ends_is_named(tmp_path):
    pytest.importorskip("nbclient")
    path = notebook_of(tmp_path, "import os; os._exit(3)")
    with pytest.raises(NotebookError, match="code cell 1 of 1 does not end: Kernel died"):
        outputs_of(path)


def test_a_kernel_that_does_not_start_is_told(tmp_path, monkeypatch):
    pytest.importorskip("nbclient")
    from jupyter_client.manager import AsyncKernelManager

    async def refused(*_, **__):
        raise PermissionError("no sockets here")

    monkeypatch.setattr(AsyncKernelManager, "start_kernel", refused)
    message = r"small\.ipynb: not executed, its kernel does not start: PermissionError: no sockets"
    with pytest.raises(NotebookError, match=message):
        outputs_of(notebook_of(tmp_path, "1"))


def test_a_build_with_a_failing_notebook_fails(monkeypatch, capsys):
    def fails():
        raise NotebookError("a.ipynb: code cell 1 of 1 fails with ValueError: no")

    monkeypatch.setattr(writing, "write_outputs", fails)
    monkeypatch.setattr(writing, "PAGES", {})
    assert writing.main([]) == 0
    assert writing.main(["--execute"]) == 1
    assert "error: a.ipynb: code cell 1 of 1 fails with ValueError: no" in capsys.readouterr().out
    assert writing.main(["--all"]) == 2
