"""A file of Python by name: found, read and hashed, and never run."""

import hashlib
from pathlib import Path

import pytest

from sweeper.errors import MissingError
from sweeper.experiment.documents.python_files import PythonName
from tests import places


def named(text: str) -> PythonName:
    return PythonName(text, field="train.callbacks", kind="CLASS")


def test_the_file_of_a_module_is_hashed_and_no_package_around_it_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inner = tmp_path / "of_somebody" / "inner"
    inner.mkdir(parents=True)
    (inner.parent / "__init__.py").write_text("raise SystemExit('it was run')")
    (inner / "hooks.py").write_text("raise SystemExit('it was run, too')")
    hook = named("of_somebody.inner.hooks:Hook")
    assert hook.path() == inner / "hooks.py"
    assert hook.sha256() == hashlib.sha256((inner / "hooks.py").read_bytes()).hexdigest()
    assert named("tests.places:X").path() == Path(places.__file__)


def test_a_module_without_a_file_is_missing():
    with pytest.raises(MissingError, match=r"train\.callbacks: .* no Python module sys; .*:CLASS"):
        named("sys:Hook").read()
