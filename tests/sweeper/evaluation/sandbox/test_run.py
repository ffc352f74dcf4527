"""What programs can do in the sandbox, behind each of its walls alone."""

import socket
import time
from pathlib import Path

import pytest

from sweeper.errors import SweeperError
from sweeper.evaluation.metrics.pass_at_1 import ProgrammingProblem, pass_at_1
from sweeper.evaluation.sandbox import jail, run
from sweeper.evaluation.sandbox.run import (
    Isolation,
    Limits,
    isolation,
    run_program,
    warn_of_missing_walls,
)

QUICK = Limits(cpu_time_s=1, wall_time_s=30.0)


@pytest.fixture
def kernel():
    """The kernel's walls alone."""
    had = isolation()
    missing = [name for name, is_had in vars(had).items() if not is_had]
    if missing:
        pytest.skip(f"this kernel does not isolate {', '.join(missing)}")
    return ["kernel"]


@pytest.fixture(params=["kernel", "hook"])
def walls(request):
    """One wall at a time, so that it is not the other that held."""
    return ["hook"] if request.param == "hook" else request.getfixturevalue("kernel")


@pytest.mark.parametrize(
    ("program", "end", "detail"),
    [
        ("x = 1", "passed", ""),
        ("assert 1 == 2, 'no'", "failed", "AssertionError: no"),
        ("def f(:", "failed", "SyntaxError: invalid syntax (<program>, line 1)"),
        ("import sys; sys.exit(0)", "failed", "SystemExit: 0"),
        ("import os; os._exit(0)", "failed", "it left with 0"),
        ("def f(): f()\nf()", "failed", "RecursionError: maximum recursion depth exceeded"),
        ("raise KeyError('x' * 10**5)", "failed", "KeyError: '" + "x" * 489),
        (
            "class E(Exception):\n def __str__(self): raise E\nraise E",
            "failed",
            "an error that has no text",
        ),
        ("import ctypes; ctypes.string_at(0)", "killed", "signal SIGSEGV"),
        ("if __name__ == '__main__': raise ValueError", "passed", ""),
        ("import numpy; assert numpy.ones(3).sum() == 3", "passed", ""),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_how_programs_end(program, end, detail):
    found = run_program(program)
    assert (found.end, found.detail) == (end, detail)
    assert found.is_passed == (end == "passed")


def test_an_endless_loop_is_stopped_by_its_processor_time(walls):
    found = run_program("while True: pass", limits=QUICK, walls=walls)
    assert (found.end, found.detail) == ("timeout", "it used 1 s of processor time")


# It catches what can be caught, and leaves the group of processes that is killed.
SLEEPER = """
import os, signal, time
for number in range(1, 64):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
os.setsid()
while True:
    time.sleep(600)
"""


def test_a_sleeping_program_is_killed_wherever_it_went(walls):
    before = set(jails())
    found = run_program(SLEEPER, limits=Limits(wall_time_s=1.5), walls=walls)
    assert (found.end, found.detail) == ("timeout", "it was killed after 1.5 s")
    # The kernel takes a moment; others on this machine may run theirs.
    started = set(jails()) - before
    for _ in range(200):
        started &= set(jails())
        if not started:
            break
        time.sleep(0.1)
    assert started == set()


def jails() -> list[str]:
    """Processes that run the inside of a sandbox."""
    processes = [path for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [path.name for path in processes if "/sandbox/jail.py" in command_of(path)]


def command_of(process: Path) -> str:
    try:
        return (process / "cmdline").read_text()
    except OSError:
        return ""


@pytest.mark.parametrize(
    "program",
    ["x = bytearray(10**10)", "x = []\nwhile True: x.append('a' * 10**7)"],
    ids=["at once", "bit by bit"],
)
def test_memory_is_limited(program, walls):
    found = run_program(program, limits=Limits(cpu_time_s=20), walls=walls)
    assert (found.end, found.detail) == ("failed", "MemoryError: ")


@pytest.mark.parametrize(
    "program",
    [
        "import os\nwhile True: os.fork()",
        "import subprocess; subprocess.run(['sleep', '1'])",
        "import os; assert os.system('true') == 0",
        "import multiprocessing\np = multiprocessing.Process(target=print)\np.start()",
    ],
    ids=["fork bomb", "subprocess", "shell", "multiprocessing"],
)
def test_no_process_can_be_started(program, walls):
    found = run_program(program, limits=QUICK, walls=walls)
    assert found.end == "failed"
    assert found.detail.startswith(("PermissionError", "BlockingIOError", "AssertionError"))


@pytest.fixture
def victim(tmp_path):
    """A file and a folder that anybody may change."""
    tmp_path.chmod(0o777)
    # Root's programs run as nobody, who must get there; pytest's folders are root's alone.
    for folder in tmp_path.parents:
        if not folder.stat().st_mode & 0o001:
            folder.chmod(0o711)
    path = tmp_path / "victim"
    path.write_text("whole")
    path.chmod(0o666)
    return path


@pytest.mark.parametrize(
    "statement",
    [
        "open({path!r}, 'w')",
        "open({path!r}, 'r+b')",
        "os.open({path!r}, os.O_WRONLY | os.O_TRUNC)",
        "open({path!r} + '2', 'w')",
        "os.remove({path!r})",
        "os.rename({path!r}, {path!r} + '3')",
        "os.mkdir({path!r} + '4')",
        "os.chmod({path!r}, 0)",
        "os.truncate({path!r}, 0)",
        "os.symlink('x', {path!r} + '5')",
        "shutil.rmtree(os.path.dirname({path!r}))",
        "pathlib.Path({path!r}).write_text('x')",
    ],
)
def test_nothing_outside_can_be_changed(statement, walls, victim):
    program = "import os, pathlib, shutil\n" + statement.format(path=str(victim))
    found = run_program(program, walls=walls)
    assert found.end == "failed"
    assert found.detail.startswith(("PermissionError", "OSError: [Errno 30] Read-only"))
    assert victim.read_text() == "whole"
    assert [path.name for path in victim.parent.iterdir()] == ["victim"]
    assert victim.stat().st_mode & 0o777 == 0o666


def test_its_own_folder_can_be_written_and_is_gone_afterwards(walls):
    program = """
import os, tempfile
with open('note', 'w') as file:
    file.write('kept')
assert open('note').read() == 'kept'
with tempfile.NamedTemporaryFile() as file:
    file.write(b'x')
os.mkdir('folder')
os.rename('note', 'folder/note')
raise ValueError(os.getcwd())
"""
    found = run_program(program, walls=walls)
    assert found.detail.startswith("ValueError: ")
    folder = Path(found.detail.removeprefix("ValueError: "))
    assert "sweeper-sandbox-" in folder.name
    assert not folder.exists()


def test_a_file_is_limited(walls):
    program = "open('a', 'wb').write(b'a' * 2**21)"
    assert run_program(program, walls=walls).detail == "OSError: [Errno 27] File too large"


def test_all_files_together_are_limited_where_they_are_in_memory(walls):
    program = "for i in range(100): open(str(i), 'wb').write(b'a' * 2**19)"
    found = run_program(program, walls=walls)
    if walls == ["kernel"]:
        assert found.detail == "OSError: [Errno 28] No space left on device"
    else:
        assert found.is_passed


CONNECTS = """
import socket
connection = socket.create_connection(('127.0.0.1', {port}))
"""


def test_no_connection_can_be_opened(walls):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = run_program(CONNECTS.format(port=port), walls=walls)
    assert found.end == "failed"
    assert found.detail in {
        "PermissionError: [Errno 1] Operation not permitted",
        "PermissionError: socket.getaddrinfo is forbidden in the sandbox",
    }


def test_no_datagram_can_be_sent(walls):
    program = (
        "import socket\n"
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))"
    )
    assert run_program(program, walls=walls).end == "failed"


def test_without_walls_these_programs_would_do_harm(victim):
    """So that the tests above can fail."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert run_program(CONNECTS.format(port=port), walls=[]).is_passed
    harmless = str(victim.parent / "new")
    program = f"open({harmless!r}, 'w').write('x')"
    assert run_program(program, walls=[]).is_passed
    assert Path(harmless).read_text() == "x"


def test_what_is_printed_is_thrown_away(walls):
    program = "for _ in range(200): print('x' * 10**6)"
    assert run_program(program, walls=walls).is_passed


def test_the_environment_is_empty(monkeypatch):
    monkeypatch.setenv("SECRET", "xyz")
    program = """
import os
assert set(os.environ) <= {
    'LANG', 'LC_CTYPE', 'TMPDIR', 'PYTHONHASHSEED', 'OPENBLAS_NUM_THREADS', 'OMP_NUM_THREADS'
}, sorted(os.environ)
"""
    assert run_program(program).detail == ""


def test_the_environment_of_others_cannot_be_read(kernel):
    program = "import os; raise ValueError(os.listdir('/proc'), os.getpid())"
    assert run_program(program, walls=kernel).detail == "ValueError: ([], 1)"


def test_walls_cannot_be_taken_down_again(kernel):
    program = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
NEW_USER_AND_MOUNTS = 0x10020000
for attempt in (
    lambda: libc.umount2(b'/proc', 2),
    lambda: libc.mount(b'none', b'/', b'none', 0x1020, b''),
    lambda: libc.unshare(NEW_USER_AND_MOUNTS) or libc.mount(b'none', b'/', b'none', 0x1020, b''),
):
    assert attempt() != 0
"""
    assert run_program(program, walls=kernel).detail == ""


def test_the_same_program_ends_the_same_way():
    program = "raise ValueError(list({'a', 'b', 'c', 'd', 'e'}))"
    assert len({run_program(program).detail for _ in range(3)}) == 1


def test_the_isolation_is_told_in_words():
    text = str(Isolation(network=True, files=False, processes=True))
    assert text == (
        "network: closed by the kernel, files: audit hook only, processes: refused by the kernel"
    )
    assert run_program("", walls=["hook"]).isolation == Isolation(
        network=False, files=False, processes=False
    )


@pytest.fixture
def unwarned():
    """As in a process that has not warned yet."""
    warn_of_missing_walls.cache_clear()
    yield
    warn_of_missing_walls.cache_clear()


def test_what_is_not_held_is_told_once(unwarned, monkeypatch, caplog):
    monkeypatch.setattr(run, "isolation", lambda: run_program("", walls=["hook"]).isolation)
    problem = ProgrammingProblem("def one():\n", "one", "def check(candidate):\n    candidate()\n")
    for _ in range(2):
        assert pass_at_1(["    return 1\n"], [problem]).value == 1.0
    [record] = caplog.records
    assert record.levelname == "WARNING"
    for words in ("network: audit hook only", "ctypes", "can open connections, change or delete"):
        assert words in record.getMessage()


def test_where_all_is_held_nothing_is_told(unwarned, monkeypatch, caplog):
    monkeypatch.setattr(run, "isolation", lambda: Isolation(True, True, True))
    warn_of_missing_walls()
    assert caplog.records == []


def test_only_what_is_not_held_is_a_danger():
    assert Isolation(network=True, files=True, processes=False).dangers == "start processes"
    assert not Isolation(network=True, files=True, processes=False).is_complete
    assert Isolation(network=False, files=True, processes=True).dangers == "open connections"
    assert Isolation(network=True, files=True, processes=True).dangers == ""


# By C code, of which Python has no event: what the warning says.
@pytest.mark.parametrize(
    ("danger", "statement"),
    [
        ("open connections", "assert libc.socket(2, 1, 0) > 0"),
        ("change or delete any file", "assert libc.truncate({path!r}.encode(), 0) == 0"),
    ],
)
def test_the_hook_alone_does_not_hold_c_code(danger, statement, victim):
    program = "import ctypes\nlibc = ctypes.CDLL(None)\n" + statement.format(path=str(victim))
    found = run_program(program, walls=["hook"])
    assert (found.end, found.detail) == ("passed", "")
    assert danger in found.isolation.dangers


def test_a_sandbox_that_does_not_start_is_an_error(monkeypatch, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("raise OSError('no walls here')")
    monkeypatch.setattr(jail, "__file__", str(broken))
    with pytest.raises(SweeperError, match="does not work on this machine: OSError: no walls here"):
        run_program("x = 1")
