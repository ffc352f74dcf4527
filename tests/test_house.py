"""The rooms of the sweeper: few, small, each with a purpose, and each module with a test."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

from tests.covered import COVERED
from tests.places import ROOT

HOUSE = ROOT / "sweeper"
TESTS = ROOT / "tests" / "sweeper"

MOST_ROOMS, MOST_MODULES, MOST_FILES = 13, 8, 10
# Folders of files that are alike: one a metric, one a task.
REGISTRIES = {"data/tasks", "evaluation/metrics"}


def folders() -> list[Path]:
    found = [path.parent for path in sorted(HOUSE.rglob("__init__.py"))]
    assert len(found) > 20
    return found


def modules() -> list[str]:
    """The modules of the sweeper, by their paths in it."""
    paths = [path for path in sorted(HOUSE.rglob("*.py")) if not path.name.startswith("__")]
    assert len(paths) > 100
    return [path.relative_to(HOUSE).as_posix() for path in paths]


def own_test(module: str) -> Path:
    path = Path(module)
    return TESTS / path.with_name(f"test_{path.name.removeprefix('_')}")


def test_the_sweeper_is_thirteen_rooms_on_a_ground():
    rooms = [path for path in HOUSE.iterdir() if (path / "__init__.py").is_file()]
    ground = [path for path in HOUSE.glob("*.py") if not path.name.startswith("__")]
    assert len(rooms) <= MOST_ROOMS
    assert len(ground) <= MOST_MODULES


def test_no_room_lists_too_many_files():
    found = {}
    for folder in folders():
        name = folder.relative_to(HOUSE).as_posix()
        count = sum(path.suffix == ".py" for path in folder.iterdir())
        # The ground is counted by the test above, and has __main__.py and __init__.py besides.
        if name not in REGISTRIES | {"."} and count > MOST_FILES:
            found[name] = count
    assert found == {}


@pytest.mark.parametrize("folder", folders(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_room_says_what_it_is_for(folder):
    document = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
    assert document is not None
    first = document.splitlines()[0]
    assert first.endswith((".", ":"))
    assert len(first) > 20
    package = ".".join(folder.relative_to(ROOT).parts)
    assert hasattr(import_module(package), "__all__")


@pytest.mark.parametrize("module", modules())
def test_a_module_has_a_test(module):
    if own_test(module).is_file():
        assert module not in COVERED, (
            "it has a test of its own; take its row out of tests/covered.py"
        )
        return
    assert module in COVERED, f"write {own_test(module).relative_to(ROOT)}"
    assert (ROOT / "tests" / COVERED[module]).is_file(), COVERED[module]


def test_every_row_is_of_a_module():
    assert COVERED.keys() - set(modules()) == set()
