"""Reading the files of documents: whatever a path leads to, it is a mapping or a message."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sweeper.errors import SpecError
from sweeper.experiment.documents.yaml_files import MOST_BYTES, is_file, read_yaml
from sweeper.experiment.loading import load_sweep
from tests.sweeper.experiment.spaces import problems_of_space

LONG = "x" * 5000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name: [a\n", "line 2, column 1: not valid YAML"),
        (b"name: a\nname: b\n", "given twice"),
        (b"- a\n- b\n", "holds a list, not a mapping"),
        (b"", "holds nothing, not a mapping"),
        (b"\xef\xbb\xbf", "holds nothing, not a mapping"),
        (b"just a text", "holds a single value"),
        (b"name: a\nb: \xff\n", "line 2: has the byte 0xff, which is not UTF-8"),
        (b"name: a\0b\n", r"line 1: has the character '\\x00'"),
        (b"\0" * 100, r"line 1: has the character '\\x00'"),
        ("name: a".encode("utf-16"), "line 1: has the byte 0xff"),
        (b"# " + b"x" * MOST_BYTES, "at most 524,288 are read"),
    ],
)
def test_what_is_no_mapping_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "space.yaml"
    path.write_bytes(content)
    with pytest.raises(SpecError, match=message) as caught:
        read_yaml(path)
    assert caught.value.source == str(path)
    # It is there: another name would not help.
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize("content", [b"\xef\xbb\xbfname: a\r\nb: 2\r\n", b"name: a\nb: 2"])
def test_marks_and_line_ends_of_windows_are_none_of_the_text(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "space.yaml"
    path.write_bytes(content)
    assert read_yaml(path) == {"name": "a", "b": 2}


def test_a_pipe_or_a_device_is_not_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    # Nobody writes to the pipe, and the device has no end.
    for path in (pipe, Path("/dev/zero"), Path("/dev/tty")):
        with pytest.raises(SpecError, match="cannot be read"):
            read_yaml(path)
        with pytest.raises(SpecError, match="cannot be read"):
            load_sweep(path)
        assert not is_file(path)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (".", "it is a folder; name a file of YAML"),
        (LONG, "File name too long"),
        (f"{LONG}/x.yaml", "File name too long"),
        ("a\0b.yaml", "embedded null byte"),
        ("~nobody/x.yaml", "No such file"),
        ("there.yaml/x.yaml", "Not a directory"),
        ("nowhere/x.yaml", "name a file of YAML"),
    ],
)
def test_a_path_that_leads_to_no_file_is_refused(tmp_path: Path, path: str, message: str) -> None:
    (tmp_path / "there.yaml").touch()
    with pytest.raises(SpecError, match=message) as caught:
        load_sweep(tmp_path / path)
    assert len(str(caught.value)) < 1500


def test_a_missing_file_names_the_nearest(space: Path) -> None:
    with pytest.raises(SpecError, match=r"did you mean 'tiny\.yaml'"):
        load_sweep(space.with_name("tinny.yaml"))


def test_1e_minus_4_is_a_number_in_files_and_overrides(space: Path) -> None:
    sweep = load_sweep(space, overrides=["train.weight_decay=1e-2"])
    assert sweep.space.trial(next(p for _, p in sweep.space.corners())).train.weight_decay == 0.01


def test_overrides_obey_the_rules_of_files(space: Path) -> None:
    sweep = load_sweep(space, overrides=["methods.lora.rank=010", "description=2024-02-29"])
    assert sweep.space.method("lora").tree["method"] == {"name": "lora", "rank": 10}
    assert sweep.spec.description == "2024-02-29"
    assert "got '1:30'" in problems_of_space(space, "train.steps=1:30")["train.steps"]
    for value, message in (
        ("2024-02-30", "looks like a date"),
        ("[" * 1000, "levels"),
        ("{a: 1, a: 2}", "given twice"),
        ("9" * 5000, "too large"),
        ("\x07", "no YAML may have"),
    ):
        with pytest.raises(SpecError, match=message) as caught:
            load_sweep(space, overrides=[f"description={value}"])
        assert caught.value.source == "--set description"
