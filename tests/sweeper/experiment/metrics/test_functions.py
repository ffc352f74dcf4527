"""The file of a function: found without being run, and held to its hash."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.errors import BadInputError, MissingError
from sweeper.experiment.metrics import PythonMetricSpec
from tests import places

SCORE = "def score(predictions, references):\n    return [1.0 for _ in predictions]\n"


def test_a_module_is_found_without_being_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "of_mine" / "inner"
    package.mkdir(parents=True)
    (tmp_path / "of_mine" / "__init__.py").write_text("raise RuntimeError('it was run')")
    (package / "scores.py").write_text(SCORE)
    own = PythonMetricSpec(python="of_mine.inner.scores:score", mode="max")
    assert own.path() == package / "scores.py"
    assert own.read() == SCORE.encode()
    spec = PythonMetricSpec(python="tests.places:score", mode="max")
    assert (spec.name, spec.path()) == ("score", Path(places.__file__))
    missing = PythonMetricSpec(python="no_such_package.inner:score", mode="max")
    with pytest.raises(MissingError, match="there is no Python module no_such_package"):
        missing.read()


def test_another_file_than_that_of_the_hash_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(SCORE)
    spec = PythonMetricSpec(python=f"{path}:score", mode="max").with_hash()
    assert spec.read() == SCORE.encode()
    path.write_text(SCORE.replace("1.0", "2.0"))
    with pytest.raises(
        BadInputError, match=r"mine\.py is not the file .*; bring the file back, or"
    ):
        spec.read()
    path.unlink()
    with pytest.raises(MissingError, match=r"there is no file .*mine\.py; .*; correct the path"):
        spec.read()


@pytest.mark.parametrize("place", ["a\0.py", "\ud800.py", "a b", "3", ""])
def test_what_no_file_can_be_called_is_refused(place: str) -> None:
    with pytest.raises(ValueError, match=r"it must be FILE\.py:FUNCTION"):
        PythonMetricSpec(python=f"{place}:score", mode="max")
