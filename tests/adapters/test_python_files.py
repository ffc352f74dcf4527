"""Python files that are run by their path."""

import sys

import pytest

from sweeper_adapters.python_files import importable, is_path, run_file


def test_a_file_is_run_anew_with_what_lies_beside_it(tmp_path):
    (tmp_path / "beside_run.py").write_text("VALUE = 3\n")
    path, before = tmp_path / "own.py", list(sys.path)
    source = b"import beside_run\nfound = [beside_run.VALUE]\n"
    one, other = (run_file(path, source, kind="metric") for _ in range(2))
    assert one.found == other.found == [3]
    assert one.found is not other.found
    assert one.__name__.startswith("_sweeper_metric_")
    assert sys.modules[other.__name__] is other
    assert one.__file__ == str(path)
    assert sys.path == before
    # Another text is another module, whose classes pickle finds.
    assert run_file(path, b"x = 1", kind="metric").__name__ != one.__name__


@pytest.mark.parametrize("source", [b"raise SystemExit(3)", b"1 / 0", b"def"])
def test_a_file_that_fails_leaves_no_module(tmp_path, source):
    before, modules = list(sys.path), set(sys.modules)
    with pytest.raises((SystemExit, ZeroDivisionError, SyntaxError)):
        run_file(tmp_path / "own.py", source, kind="callback")
    assert sys.path == before
    assert not {x for x in set(sys.modules) - modules if x.startswith("_sweeper_")}


def test_a_folder_is_importable_only_meanwhile(tmp_path):
    with importable(tmp_path):
        assert sys.path[0] == str(tmp_path)
    assert str(tmp_path) not in sys.path


@pytest.mark.parametrize(
    ("text", "can_be"), [("a b/ö.py", True), ("a\0b", False), ("\ud800", False)]
)
def test_no_file_has_a_nul_or_half_a_character_in_its_path(text, can_be):
    assert is_path(text) is can_be
