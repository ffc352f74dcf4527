"""A method is found by its name: its folder, its place in the union, its examples and its tests.

What one adds for a method is listed in CONTRIBUTING.md.
"""

import re
from importlib import import_module
from pathlib import Path

import pytest
from peft import PeftType

import sweeper_adapters
from sweeper_adapters import TUNERS
from sweeper_adapters.methods import AnyMethodSpec
from tests.adapters.specs import NAMES, SPECS, UNION, is_ours, load_examples

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "adapters" / "sweeper_adapters"
METHODS = PACKAGE / "methods"
TESTS = ROOT / "tests" / "adapters" / "methods"
# Where a method is named besides its own folders.
NAMED = METHODS / "__init__.py"

each_method = pytest.mark.parametrize(
    ("name", "spec"), list(zip(NAMES, UNION, strict=True)), ids=NAMES
)


def folders(parent: Path) -> set[str]:
    return {path.name for path in parent.iterdir() if path.is_dir() and path.name != "__pycache__"}


def test_each_method_has_a_folder_of_its_name_and_one_of_tests():
    assert len(NAMES) > 20
    assert folders(METHODS) == folders(TESTS) == set(NAMES)


@each_method
def test_its_folder_has_its_spec(name: str, spec: type[AnyMethodSpec]):
    assert spec.__module__ == f"sweeper_adapters.methods.{name}.spec"
    assert import_module(f"sweeper_adapters.methods.{name}").__all__ == [spec.__name__]


@each_method
def test_it_has_examples_and_a_module_of_tests(name: str, spec: type[AnyMethodSpec]):
    examples = load_examples(name).EXAMPLES
    assert examples
    assert {type(example) for example in examples.values()} == {spec}
    assert list((TESTS / name).glob("test_*.py"))


def test_no_two_examples_have_one_name():
    assert len(SPECS) == sum(len(load_examples(name).EXAMPLES) for name in NAMES)


def test_the_tuners_are_those_of_the_folders():
    found = {path.parent.name for path in METHODS.glob("*/tuner.py")}
    assert {tuner.folder for tuner in TUNERS.values()} == found
    assert len(found) == len(TUNERS) > 5


@pytest.mark.parametrize("tuner", TUNERS.values(), ids=TUNERS)
def test_its_classes_are_those_that_the_spec_names(tuner):
    module = import_module(tuner.module)
    assert set(tuner.classes) <= set(module.__all__)
    for name in tuner.classes:
        assert getattr(sweeper_adapters, name) is getattr(module, name)
        assert name in dir(sweeper_adapters)
    assert load_examples(tuner.folder).VARIANTS


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_spec_names_the_tuner_that_its_config_is_of(spec):
    config = spec.peft_config()
    assert is_ours(spec) == type(config).__module__.startswith("sweeper_adapters.")
    if is_ours(spec):
        assert TUNERS[PeftType(config.peft_type).name] is spec.tuner


@each_method
def test_nothing_else_names_it(name: str, spec: type[AnyMethodSpec]):
    """What has to be edited for a method is its folders, the union, and the README's table."""
    names = [spec.__name__]
    if spec.tuner is not None and spec.tuner.folder == name:
        names += spec.tuner.classes
    pattern = re.compile(rf"\b(?:{'|'.join(names)})\b|\bmethods\.{name}\b")
    shared = [path for path in PACKAGE.rglob("*.py") if path.parent.parent != METHODS]
    shared += [ROOT / "tests" / "adapters" / x for x in ("specs.py", "passes.py", "conftest.py")]
    shared += (ROOT / "tests" / "conformance").glob("*.py")
    assert len(shared) > 15
    named = [path for path in shared if pattern.search(path.read_text(encoding="utf-8"))]
    assert named == [NAMED]
