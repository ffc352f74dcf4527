"""Methods of other packages: installed under an entry point, they are methods like any other."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from sweeper_adapters.methods import HiraSpec
from sweeper_adapters.methods._entry_points import GROUP, load_others

METHOD = '''
from typing import ClassVar, Literal
from pydantic import Field
from sweeper_adapters.methods import MethodSpec


class ScaleSpec(MethodSpec):
    """One trained factor for each output of a layer."""

    source: ClassVar[str] = "an example"
    size_field: ClassVar[str] = "repeats"
    name: Literal["scale"] = "scale"
    """Tag of this method."""
    repeats: int = Field(default=1, ge=1)
    """Factors of each output."""

    def count(self, shape):
        return self.repeats * shape.layers * sum(x.out_features for x in self.adapted(shape))

    def peft_config(self):
        raise NotImplementedError

    def _size_problems(self, shape):
        yield from ()
'''
SPACE = """
name: own
profile: embedded
methods: [{name: scale, repeats: {choice: [1, 2]}}]
train: {learning_rate: 1e-3}
search: {trials: 2}
"""


def plan(folder: Path) -> subprocess.CompletedProcess[str]:
    """What `plan` says where the package is installed."""
    info = folder / "own_methods-1.0.dist-info"
    info.mkdir()
    (folder / "own_methods.py").write_text(METHOD)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-methods\nVersion: 1.0\n")
    points = f"[{GROUP}]\nscale = own_methods:ScaleSpec\nbroken = own_methods:Nothing\n"
    (info / "entry_points.txt").write_text(points)
    (folder / "own.yaml").write_text(SPACE)
    paths = [str(folder), *filter(None, [*sys.path, os.environ.get("PYTHONPATH")])]
    code = """
import json, pathlib, sys
from sweeper.errors import SpecError
from sweeper.experiment.loading import load_sweep
from sweeper.search.draws import draw_all
path = pathlib.Path(sys.argv[1])
found = [(x.spec.method.label, x.spec.method.repeats) for x in draw_all(load_sweep(path))]
path.write_text(path.read_text().replace("scale", "broken"))
try:
    load_sweep(path)
except SpecError as error:
    print(json.dumps([found, str(error)]))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", code, str(folder / "own.yaml")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_method_of_another_package_is_searched_and_counted(tmp_path):
    done = plan(tmp_path)
    assert done.returncode == 0, done.stderr
    found, refused = json.loads(done.stdout.splitlines()[-1])
    assert sorted(found) == [["scale", 1], ["scale", 2]]
    assert "package own-methods cannot bring it (own_methods:Nothing): AttributeError" in refused


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("lora", "sweeper_adapters.methods:HiraSpec", "of a name that is taken"),
        ("other", "sweeper_adapters.methods:HiraSpec", r"its field name must be Literal\['other'"),
        ("other", "sweeper_adapters.methods:kind_of", "no class made of MethodSpec"),
        ("other", "sweeper_adapters.nowhere:Spec", "ModuleNotFoundError"),
    ],
)
def test_what_is_no_method_is_left_out_with_its_reason(name, value, reason):
    specs, reasons = load_others({"lora"}, points=[EntryPoint(name, value, GROUP)])
    assert specs == []
    assert re.search(reason, reasons[name])


def test_one_of_two_of_a_name_is_taken():
    point = EntryPoint("hira", "sweeper_adapters.methods:HiraSpec", GROUP)
    specs, reasons = load_others(set(), points=[point, point])
    assert specs == [HiraSpec]
    assert "name that is taken" in reasons["hira"]
