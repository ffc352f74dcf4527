"""Rules of this repository that no linter knows."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("sweeper", "adapters/sweeper_adapters", "kernels/sweeper_kernels")
FOLDERS = (*PACKAGES, "search_spaces", "tests", "benchmarks", "docs", ".ci")

# A test is long for its cases, not for its ideas.
MAX_FILE_LINES, MAX_TEST_LINES = 400, 500
MAX_FUNCTION_LINES = 40

# In pieces, so that this file does not hold what it looks for.
FORBIDDEN = re.compile(
    "|".join(
        [
            # Folders of one machine.
            r"(?<![\w.~/-])/(?:work|root|opt)/",
            r"(?<![\w.~/-])/home/[a-z]",
            # Where a pip, a cluster or a model hub fetches from is the user's to choose.
            "py" + r"pi\.org",
            "python" + r"hosted\.org",
            "download" + r"\.pytorch\.org",
            "--(?:extra-)?index" + r"-url[ =]",
            "hf-" + r"mirror",
        ]
    )
)

# What a driver needs to check specs; none of it may load what takes seconds to import.
CHEAP = (
    *("sweeper.experiment.trial", "sweeper.data", "sweeper.models", "sweeper_adapters.methods"),
    *("sweeper.report.page", "sweeper.report.terminal"),
)
HEAVY = ("torch", "transformers", "peft", "datasets", "ray", "mlflow", "deepspeed", "optuna")


def modules() -> list[Path]:
    folders = (*PACKAGES, "docs/generator/sweeper_docs")
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(found) > 20
    return found


def python_files() -> list[Path]:
    folders = (*PACKAGES, "docs/generator", "tests", "benchmarks")
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(found) > 40
    return found


def text_files() -> list[Path]:
    # Scripts, documents and settings at the top are all of the project's.
    found = [path for path in ROOT.iterdir() if path.is_file() and path.name != ".git"]
    found += [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    binary = {".safetensors", ".pyc", ".gz", ".png", ".npz"}
    found = [path for path in found if path.is_file() and path.suffix not in binary]
    assert len(found) > 60
    return sorted(found)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements at the top of a module, those under `if TYPE_CHECKING:` among them."""
    for node in tree.body:
        if isinstance(node, ast.If):
            yield from node.body
        else:
            yield node


def names_bound(node: ast.stmt) -> list[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
    return []


def names_imported(node: ast.stmt) -> list[str]:
    """What is imported from this project, and so can be passed on."""
    match node:
        case ast.ImportFrom(module=str(module), names=names) if module.startswith("sweeper"):
            return [alias.asname or alias.name for alias in names]
    return []


def declared(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return None


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_all_is_what_is_public(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bound = {name for node in statements(tree) for name in names_bound(node)}
    imported = {name for node in statements(tree) for name in names_imported(node)}
    names = declared(tree)
    if path.name == "__main__.py":
        assert names is None
        return
    assert names is not None, "no __all__"
    assert set(names) <= bound | imported
    # A constant is public when it is listed; anything else is when its name says so.
    public = {name for name in bound if not name.startswith("_") and not name.isupper()}
    if path.name == "__init__.py":
        public |= {x for x in imported if not (x.startswith("_") or x.isupper())}
    assert public - {"logger"} <= set(names)


@pytest.mark.parametrize("package", ["sweeper", "sweeper_adapters", "sweeper_kernels"])
def test_all_can_be_had(package):
    module = import_module(package)
    assert all(hasattr(module, name) for name in module.__all__)


def test_no_file_is_too_long():
    found = {}
    for path in python_files():
        name, count = name_of(path), path.read_text("utf-8").count("\n")
        if count > (MAX_TEST_LINES if name.startswith("tests/") else MAX_FILE_LINES):
            found[name] = count
    assert found == {}


def test_no_function_is_too_long():
    found = {}
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                # The docstring is as long as it needs to be.
                body = node.body[1:] if ast.get_docstring(node) else node.body
                count = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
                found[f"{name_of(path)}:{node.name}"] = count
    assert len(found) > 100
    assert {name: count for name, count in found.items() if count > MAX_FUNCTION_LINES} == {}


def test_nothing_names_a_machine_or_a_registry():
    hits = [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in text_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if FORBIDDEN.search(line)
    ]
    assert hits == []


@pytest.mark.parametrize(
    "line", ["cd /" + "work/x", "/" + "root/.cache", "see https://py" + "pi.org/simple"]
)
def test_what_is_forbidden_would_be_found(line):
    assert FORBIDDEN.search(line)


def test_the_source_roots_are_not_packages():
    # A top-level package named `kernels` makes transformers fail at import.
    assert not (ROOT / "kernels" / "__init__.py").exists()
    assert not (ROOT / "adapters" / "__init__.py").exists()


@pytest.mark.parametrize("module", CHEAP)
def test_checking_a_spec_and_showing_a_sweep_load_nothing_heavy(module):
    code = f"import sys, {module}; print(*sorted(set(sys.modules) & set({HEAVY!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
