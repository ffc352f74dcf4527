"""The search spaces that come with the sweeper are found in a checkout and in a wheel."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.experiment.documents import packaged_spaces
from sweeper.experiment.documents.packaged_spaces import find_packaged_folders, packaged_file
from sweeper.experiment.loading import load_sweep
from tests.places import SPACES


def test_a_checkout_has_them_beside_the_package() -> None:
    assert list(find_packaged_folders()) == [SPACES]
    assert (SPACES / "profiles" / "embedded.yaml").is_file()


def test_a_wheel_has_them_inside_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "sweeper"
    # Where the wheel puts them is what the test of the packaging opens it for.
    (package / "search_spaces" / "profiles").mkdir(parents=True)
    # As deep as in the package.
    assert Path(packaged_spaces.__file__).relative_to(packaged_spaces._PACKAGE).parts == (
        "experiment",
        "documents",
        "packaged_spaces.py",
    )
    assert packaged_spaces._PACKAGE.name == "sweeper"
    monkeypatch.setattr(packaged_spaces, "_PACKAGE", package)
    assert list(find_packaged_folders()) == [package / "search_spaces"]
    (tmp_path / "search_spaces").mkdir()
    # What lies beside an installed package is somebody else's.
    assert list(find_packaged_folders()) == [package / "search_spaces"]


@pytest.mark.parametrize("name", ["search_spaces/masa.yaml", "masa.yaml", "masa"])
def test_a_packaged_space_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = load_sweep(Path(name), profile="search_spaces/profiles/embedded.yaml")
    assert (sweep.spec.name, sweep.spec.profile) == ("masa", "embedded")
    # A file of one's own comes first.
    own = tmp_path / name
    own.parent.mkdir(exist_ok=True)
    own.write_text("name: mine\nmethods: [{name: lora}]\n")
    assert load_sweep(Path(name)).spec.name == "mine"


def test_only_a_packaged_file_is_found() -> None:
    assert packaged_file(Path("papers/masa_params.yaml")) == SPACES / "papers" / "masa_params.yaml"
    for name in (SPACES / "masa.yaml", "../search_spaces/masa.yaml", "masa.yml", "massa", "papers"):
        assert packaged_file(Path(name)) is None
