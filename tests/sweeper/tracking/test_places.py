"""Where a sweep cannot be made nothing is; where two make it at once one does."""

from __future__ import annotations

import errno
import json
import logging
import os
import subprocess
import sys
import threading

import pytest

from sweeper.errors import BadInputError, NameTakenError
from sweeper.experiment.documents.yaml_files import read_yaml
from sweeper.experiment.loading import load_sweep
from sweeper.search.draws import draw_all
from sweeper.tracking import SweepFolder
from sweeper.tracking.places import SPACE_FILE, is_driven, write_space
from tests.places import SPACES

TIMES = 50
PROCESSES = 4
# Each makes the same sweeps, as fast as it can, once all are there.
RACER = """
import sys
from sweeper.errors import NameTakenError
from sweeper.tracking import SweepFolder
from sweeper.tracking.places import is_driven
home, mine = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
for number in range(20):
    try:
        SweepFolder.create(home, f"s{number}", document={"by": mine})
    except NameTakenError:
        continue
    print(number, flush=True)
"""


def test_of_threads_that_make_a_sweep_at_once_one_does(tmp_path, monkeypatch):
    # What git is asked takes longest, and is the same for all.
    monkeypatch.setattr("sweeper.tracking.places.git_state", lambda _: None)
    for number in range(TIMES):
        made: list[int] = []
        taken: list[int] = []
        barrier = threading.Barrier(PROCESSES)

        def make(mine, name=f"s{number}", made=made, taken=taken, barrier=barrier):
            barrier.wait()
            try:
                SweepFolder.create(tmp_path, name, document={"by": mine})
            except NameTakenError:
                taken.append(mine)
            else:
                made.append(mine)

        threads = [threading.Thread(target=make, args=(mine,)) for mine in range(PROCESSES)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(made), len(taken)) == (1, PROCESSES - 1)
        assert SweepFolder(tmp_path / f"s{number}").document == {"by": made[0]}


def test_of_processes_that_make_sweeps_at_once_one_makes_each(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(tmp_path), str(mine)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for mine in range(2)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    made = [racer.communicate()[0].split() for racer in racers]
    assert sorted(int(number) for numbers in made for number in numbers) == list(range(20))
    for mine, numbers in enumerate(made):
        for number in numbers:
            text = (tmp_path / f"s{number}" / "sweep.json").read_text()
            assert json.loads(text)["document"] == {"by": str(mine)}


def test_a_file_in_the_way_is_told(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "taken").touch()
    with pytest.raises(BadInputError, match=r"file/a cannot be made \(.*name another one with"):
        SweepFolder.create(tmp_path / "file", "a", document={})
    with pytest.raises(BadInputError, match="taken cannot be made"):
        SweepFolder.create(tmp_path / "home", "taken", document={})


def test_a_name_that_is_too_long_is_told(tmp_path):
    with pytest.raises(BadInputError, match=r"got 300 characters \(aaaa.*…\); allowed are 150"):
        SweepFolder.create(tmp_path, "a" * 300, document={})
    with pytest.raises(BadInputError, match="holds no sweep"):
        SweepFolder.open("a" * 300, home=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
@pytest.mark.parametrize("where", ["pathlib.Path.mkdir", "sweeper._files.os.fsync"])
def test_a_place_without_room_or_rights_is_told_and_nothing_stays(
    tmp_path, monkeypatch, number, where
):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(where, refuse)
    with pytest.raises(BadInputError, match=rf"cannot be made \({os.strerror(number)}\)"):
        SweepFolder.create(tmp_path / "a" / "home", "one", document={})
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_that_is_there_stays_whole_when_another_fails(tmp_path):
    SweepFolder.create(tmp_path, "one", document={"first": True})
    with pytest.raises(NameTakenError):
        SweepFolder.create(tmp_path, "one", document={"first": False})
    assert SweepFolder.open("one", home=tmp_path).document == {"first": True}


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_sweep_that_cannot_be_locked_is_not_resumed(tmp_path, monkeypatch, number):
    sweep = SweepFolder.create(tmp_path, "one", document={})

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("sweeper._files.os.open", refuse)
    with pytest.raises(BadInputError, match=r"driver\.lock cannot be locked .*make the folder"):
        sweep.lock().__enter__()


def test_the_search_space_beside_it_is_what_is_run(tmp_path, caplog):
    space = load_sweep(SPACES / "masa.yaml")
    file = write_space(tmp_path, space.document)
    assert file == tmp_path / SPACE_FILE
    again = load_sweep(file)
    assert draw_all(again) == draw_all(space)
    # Its profile is in it, and where it is copied to does not matter.
    assert "profile" not in read_yaml(file)
    assert again.spec.resources == space.spec.resources
    with caplog.at_level(logging.WARNING):
        write_space(tmp_path / "nowhere", space.document)
    assert "search_space.yaml cannot be written" in caplog.text


def test_a_sweep_is_driven_while_its_lock_is_held(tmp_path):
    sweep = SweepFolder.create(tmp_path, "masa-1", document={})
    # Nobody has driven it yet, and asking makes no file.
    assert not is_driven(sweep.path)
    assert not (sweep.path / "driver.lock").exists()
    with sweep.lock():
        before = (sweep.path / "driver.lock").read_text()
        assert is_driven(sweep.path)
        assert (sweep.path / "driver.lock").read_text() == before
    assert not is_driven(sweep.path)
    with sweep.lock():
        # Who has asked has kept nothing.
        pass
