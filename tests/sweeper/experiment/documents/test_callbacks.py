"""Callbacks by name: where they are looked for, what an identity has of them, what is told."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from sweeper.errors import MissingError
from sweeper.experiment.loading import load_sweep
from sweeper.experiment.trial import TrainSpec
from tests.sweeper import tiny

SPACE = """
name: tiny
profile: {profile}
methods: [{{name: lora, rank: 2}}]
train: {{steps: 8, learning_rate: 1e-3, callbacks: [{callback}]}}
"""
PROFILE = "name: tiny\nmodel: {kind: embedded}\ndata: {kind: embedded}\n"
HOOK = "class Hook:\n    def on_step(self, step, loss, metrics): ...\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "tiny.yaml").write_text(PROFILE)
    return tmp_path


def loaded(folder: Path, callback: str):
    path = folder / "space.yaml"
    path.write_text(SPACE.format(profile=folder / "tiny.yaml", callback=f'"{callback}"'))
    return load_sweep(path)


def callbacks_of(sweep):
    ((_, point),) = sweep.space.corners()
    return sweep.space.trial(point).train.callbacks


def test_a_file_is_looked_for_beside_the_space_and_then_here(folder):
    (folder / "here" / "hooks.py").write_text(HOOK)
    assert callbacks_of(loaded(folder, "hooks.py:Hook")) == (
        f"{folder / 'here' / 'hooks.py'}:Hook",
    )
    (folder / "hooks.py").write_text(HOOK)
    assert callbacks_of(loaded(folder, "hooks.py:Hook")) == (f"{folder / 'hooks.py'}:Hook",)
    assert callbacks_of(loaded(folder, "json:JSONDecoder")) == ("json:JSONDecoder",)


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        ("hooks.py:Hook", "there is no file .*hooks.py; .* correct the path"),
        ("no_such.module:Hook", "no Python module no_such.module; .* install the package"),
        ("bad.py:Hook", "bad.py is no Python"),
        ("good.py:Hooc", "good.py defines no 'Hooc'; .* did you mean 'Hook'"),
    ],
)
def test_what_is_not_there_is_told_before_anything_starts(folder, callback, message):
    (folder / "bad.py").write_text("class Hook")
    (folder / "good.py").write_text(HOOK)
    with pytest.raises(MissingError, match=message):
        loaded(folder, callback)


def test_a_module_is_read_without_running_the_packages_around_it(folder):
    inner = folder / "here" / "hooks_of_mine" / "inner"
    inner.mkdir(parents=True)
    (inner.parent / "__init__.py").write_text("raise SystemExit('it was run')")
    (inner / "hooks.py").write_text(HOOK)
    assert callbacks_of(loaded(folder, "hooks_of_mine.inner.hooks:Hook")) == (
        "hooks_of_mine.inner.hooks:Hook",
    )


@pytest.mark.parametrize(
    "name", ["hooks.py", "hooks:", ":Hook", "hooks.py:a b", "a b:Hook", "\0.py:Hook"]
)
def test_a_callback_has_a_place_and_a_name(name):
    with pytest.raises(ValidationError, match=r"FILE\.py:CLASS or PACKAGE"):
        TrainSpec(steps=1, learning_rate=1e-3, evaluations=1, callbacks=(name,))


def test_an_identity_has_the_file_where_there_is_one_and_else_stays(tmp_path):
    plain = tiny.trial()
    assert "callbacks" not in plain.model_dump_json()

    def identity(folder, text):
        path = tmp_path / folder / "hooks.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return tiny.trial(callbacks=(f"{path}:Hook",)).identity()

    one = identity("a", HOOK)
    assert len({plain.identity(), one, identity("a", HOOK + "# more")}) == 3
    assert identity("b", HOOK) == one
    (tmp_path / "a" / "hooks.py").unlink()
    with pytest.raises(MissingError, match="cannot be found"):
        tiny.trial(callbacks=(f"{tmp_path / 'a' / 'hooks.py'}:Hook",)).identity()
