"""Commands on sweeps that are kept at a URL: another machine sees what the first one put there."""

import re

import pytest
from typer.testing import CliRunner

from sweeper.cli import app
from sweeper.tracking.mirror import follow_home, mirrored
from sweeper.tracking.sweep_folder import SweepFolder
from tests.sweeper.report import made


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "400"})
    assert result.exit_code == 0, result.stderr
    # Wide: a path is not broken. How long ago something was depends on the second.
    return re.sub(r"[\d.]+ s ago", "a while ago", result.stdout)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Goes to another machine, which has nothing but its own folder."""

    def go(name: str) -> None:
        monkeypatch.setenv("SWEEPER_COPIES", str(tmp_path / name))

    go("one")
    return go


@pytest.fixture
def url(tmp_path, machine) -> str:
    (tmp_path / "there").mkdir()
    url = (tmp_path / "there").as_uri()
    sweep = made.sweep_of(tmp_path, made.ONE_FACTOR, "design.seeds=2")
    folder = made.designed(follow_home(url), "short-1", sweep, lambda name, _: 0.6)
    with folder.lock(), mirrored(folder.path):
        pass
    return url


@pytest.mark.parametrize(
    "command", [("list",), ("status", "short-1"), ("report", "short-1"), ("show", "short-1/0")]
)
def test_another_machine_sees_the_same(command, url, machine):
    here = printed(*command, "--home", url)
    assert "short-1" in here
    machine("two")
    # Names of one length: lines end where they ended.
    assert re.sub(r"/two\b", "/one", printed(*command, "--home", url)) == here


def test_the_variable_takes_the_url_too(url, machine, monkeypatch):
    monkeypatch.setenv("SWEEPER_HOME", url)
    machine("two")
    assert "short-1" in printed("list")
    # A command that is shown needs no --home then.
    assert "--home" not in printed("report", "short-1")


def test_a_command_that_is_shown_names_the_url_and_not_the_copy(url, machine, tmp_path):
    machine("two")
    shown = "".join(printed("report", "short-1", "--home", url).split())
    assert f"reportshort-1--home{url}--json" in shown


def test_a_sweep_that_was_stopped_is_continued_by_its_url(url, machine):
    folder = SweepFolder(follow_home(url) / "short-1")
    with folder.lock(), mirrored(folder.path):
        folder.mark("stopped")
    machine("two")
    shown = printed("status", "short-1", "--home", url)
    assert f"Continue with: python -m sweeper resume short-1 --home {url}" in shown


def test_an_empty_url_is_said_by_its_name(machine, tmp_path):
    (tmp_path / "empty").mkdir()
    url = (tmp_path / "empty").as_uri()
    assert f"{url}holdsnosweep." in "".join(printed("list", "--home", url).split())


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("file:///nowhere/at/all", "there is no such folder"),
        ("s4://bucket/sweeps", "Protocol not known"),
        ("s3://key:secret@bucket/sweeps", "it holds a password"),
    ],
)
@pytest.mark.parametrize("command", ["list", "status short-1", "resume short-1"])
def test_a_url_that_cannot_be_used_is_bad_input(command, url, why, machine):
    result = CliRunner().invoke(app, [*command.split(), "--home", url])
    assert result.exit_code == 2
    assert why in result.stderr
    assert "secret" not in result.stderr
