"""Which forms a method of one's own can be exported in; test_methods has those of the sweeper."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from sweeper.analysis.lookup import FoundTrial
from sweeper.errors import BadInputError
from sweeper.export.exporting import export_trial
from sweeper.export.formats import possible_formats
from sweeper.tracking.sweep_folder import SweepFolder
from sweeper_adapters.methods import Method
from tests.adapters.own_method import forget_methods, write_method
from tests.sweeper import exported

PROPERTY = "    @property\n    def exports_lora"
BASE = (PROPERTY, f"    def prepare_base(self, model):\n        pass\n\n{PROPERTY}")
CONFIG = ("return LoraConfig(", "return type('MyConfig', (LoraConfig,), {})(")
NO_LORA = ("        return True", "        return False")
NO_MERGE = (
    PROPERTY,
    f"    @property\n    def is_mergeable(self):\n        return False\n\n{PROPERTY}",
)


def own_trial(folder: Path, *changes: tuple[str, str]):
    adapter: TypeAdapter[Method] = TypeAdapter(Method)
    spec = adapter.validate_python({"python": write_method(folder, *changes), "rank": 2})
    return exported.trial(spec, folder)


def test_it_says_itself_what_it_can_be(tmp_path):
    assert set(possible_formats(own_trial(tmp_path)).values()) == {""}
    found = possible_formats(own_trial(tmp_path, NO_LORA, NO_MERGE))
    assert found["peft"] == ""
    assert "does not train a fixed product B A" in found["lora"]
    assert "cannot be merged" in found["merged"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [(BASE, "the code of your own file makes its base"), (CONFIG, "its tuner is in your own file")],
)
def test_what_needs_the_users_code_is_no_adapter_for_others(tmp_path, change, reason):
    found = possible_formats(own_trial(tmp_path, change))
    assert reason in found["peft"]
    assert found["lora"] == found["merged"] == ""


def test_without_any_form_the_message_says_what_is_left(tmp_path):
    sweep = SweepFolder.create(tmp_path / "sweeps", "own", document=exported.DOCUMENT)
    folder = exported.add(sweep, own_trial(tmp_path, CONFIG, NO_LORA, NO_MERGE), number=0)
    message = "narrow cannot be exported as peft: .*: none; use the adapter in the trial's folder"
    with pytest.raises(BadInputError, match=message):
        export_trial(FoundTrial(sweep, folder), "peft", output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (Path.unlink, r"mine\.py cannot be read \(No such file"),
        (lambda path: path.write_text("# other"), r"mine\.py is not the file that the sweep was "),
    ],
)
def test_a_file_that_is_gone_or_another_one_is_named(tmp_path, monkeypatch, change, message):
    sweep = SweepFolder.create(tmp_path / "sweeps", "own", document=exported.DOCUMENT)
    folder = exported.add(sweep, own_trial(tmp_path), number=0)
    forget_methods(monkeypatch)
    change(tmp_path / "mine.py")
    text = rf"its method cannot be read from its file \(.*{message}.*; bring it back"
    with pytest.raises(BadInputError, match=text):
        export_trial(FoundTrial(sweep, folder), "peft", output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
