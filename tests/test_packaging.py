"""What an install brings: one version, all files, dependencies pinned within their ranges."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import entry_points, version
from pathlib import Path
from zipfile import ZipFile

import pytest
from hatchling.build import build_wheel
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import sweeper

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NAME = "masa_mosa_sweeper"

# Folder in the checkout -> folder in the wheel.
SHIPPED = {
    "sweeper": "sweeper",
    "adapters/sweeper_adapters": "sweeper_adapters",
    "kernels/sweeper_kernels": "sweeper_kernels",
    "search_spaces": "sweeper/search_spaces",
}


def read_constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert len(pins) > 100
    for pin in pins:
        # No path, no URL, no option, and no local version such as +cpu.
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", pin), pin
    return {canonicalize_name(name): pin for name, pin in (pin.split("==") for pin in pins)}


def requirements() -> list[Requirement]:
    extra = PROJECT["optional-dependencies"]["dev"]
    return [Requirement(text) for text in [*PROJECT["dependencies"], *extra]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Iterator[ZipFile]:
    folder = tmp_path_factory.mktemp("wheel")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        path = folder / build_wheel(str(folder))
    with ZipFile(path) as opened:
        yield opened


def test_the_version_is_written_once():
    assert version("masa-mosa-sweeper") == sweeper.__version__
    assert PROJECT["dynamic"] == ["version"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[?([^]\s]+)", changes, re.MULTILINE)
    assert newest is not None
    assert newest[1] in {sweeper.__version__, "Unreleased"}


def test_the_wheel_holds_every_file_of_the_packages_and_no_other(wheel):
    expected = {
        f"{target}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, target in SHIPPED.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert len(expected) > 30
    metadata = f"{NAME}-{sweeper.__version__}.dist-info/"
    assert {name for name in wheel.namelist() if not name.startswith(metadata)} == expected


@pytest.mark.parametrize("package", ["sweeper", "sweeper_adapters", "sweeper_kernels"])
def test_the_wheel_is_typed(wheel, package):
    assert f"{package}/py.typed" in wheel.namelist()


def test_the_wheel_holds_the_embedded_model(wheel):
    weights = [name for name in wheel.namelist() if name.endswith(".safetensors")]
    assert len(weights) == 1
    # What the issue of the embedded model allows.
    assert wheel.getinfo(weights[0]).file_size < 3_000_000


def test_the_wheel_holds_search_spaces_and_profiles(wheel):
    names = wheel.namelist()
    assert "sweeper/search_spaces/masa.yaml" in names
    assert "sweeper/search_spaces/profiles/embedded.yaml" in names


def test_a_wheel_runs_its_search_spaces_by_name_anywhere(wheel, tmp_path):
    wheel.extractall(tmp_path / "site")
    (tmp_path / "anywhere").mkdir()
    command = [sys.executable, "-m", "sweeper", "plan", "search_spaces/masa.yaml", "--json"]
    planned = subprocess.run(
        command,
        cwd=tmp_path / "anywhere",
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert planned.returncode == 0, planned.stderr
    plan = json.loads(planned.stdout)
    assert (plan["space"], plan["profile"]) == ("masa", "embedded")


def test_the_wheel_holds_the_licence_and_the_command(wheel):
    folder = f"{NAME}-{sweeper.__version__}.dist-info"
    assert f"{folder}/licenses/LICENSE" in wheel.namelist()
    scripts = wheel.read(f"{folder}/entry_points.txt").decode()
    assert "sweeper = sweeper.__main__:main" in scripts


def test_the_command_can_be_loaded():
    (command,) = entry_points(group="console_scripts", name="sweeper")
    assert callable(command.load())


def test_every_dependency_is_pinned_within_its_range():
    pins = read_constraints()
    found = requirements()
    assert len(found) > 20
    for requirement in found:
        pin = pins.get(canonicalize_name(requirement.name))
        assert pin is not None, f"{requirement.name} is not in constraints.txt"
        assert requirement.specifier.contains(pin), f"{requirement} does not allow {pin}"


def test_every_dependency_has_both_bounds():
    for requirement in requirements():
        operators = {clause.operator for clause in requirement.specifier}
        # A tool that only builds or checks may go on upwards.
        assert ">=" in operators, requirement
        assert "<" in operators or requirement.name == "hatchling", requirement
