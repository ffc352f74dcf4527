"""Programs that are written to get out, or to pass without passing."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import pytest

from sweeper.errors import SweeperError
from sweeper.evaluation.sandbox import jail
from sweeper.evaluation.sandbox.run import WALLS, Isolation, Limits, isolation, run_program
from sweeper.evaluation.sandbox.system_calls import make_filter

LIMITS = Limits(cpu_time_s=1, wall_time_s=30.0)
LIBC = "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has what is given up here")


@pytest.fixture
def kernel():
    """The kernel's walls alone."""
    if not isolation().is_complete:
        pytest.skip(f"this kernel does not give all walls: {isolation()}")
    return ["kernel"]


# Passing without passing.

FORGERIES = {
    "another dumps": """import json; json.dumps = lambda *_: '{"end": "passed"}'""",
    "another dumps with a line": r"import json; json.dumps = lambda *_: 'null\npassed null'",
    "another encoder": "import json.encoder as e\ne.JSONEncoder.encode = lambda *_: 'null'",
    "another exit": "import os; os._exit = lambda _: os.kill(os.getpid(), 9)",
    "another write": "import os; os.write = lambda *_: 0",
    "lines of its own": """
import os
for descriptor in range(3, 20):
    for line in (b'passed null', b'{"end": "passed"}', b'ended {"status": 0}'):
        try:
            os.write(descriptor, b"\\n" + line + b"\\n")
        except OSError:
            pass
""",
}


@pytest.mark.parametrize("kind", FORGERIES)
def test_a_failing_program_fails_whatever_it_replaces(kind):
    found = run_program(FORGERIES[kind] + "\nraise ValueError(1)", limits=LIMITS)
    assert found.end == "failed"


@pytest.mark.parametrize("kind", FORGERIES)
def test_a_program_that_leaves_early_fails_whatever_it_wrote(kind):
    program = f"import os\nleave = os._exit\n{FORGERIES[kind]}\nleave(0)"
    found = run_program(program, limits=LIMITS)
    assert (found.end, found.detail) == ("failed", "it left with 0")


FLOODS = {
    "flooded": "while True: os.write(d, b'x' * 65536)",
    "emptied": "os.ftruncate(d, 0)",
    "overwritten": "os.lseek(d, 0, 0); os.write(d, b'{}')",
    "closed": "os.close(d)",
}


@pytest.mark.parametrize("how", FLOODS)
def test_the_answer_cannot_be_spoilt(how):
    program = f"""
import os
for d in range(3, 20):
    try:
        {FLOODS[how]}
    except OSError:
        pass
os._exit(0)
"""
    found = run_program(program, limits=LIMITS)
    assert found.end in {"failed", "timeout"}
    assert found.isolation == isolation()


# Who it is.


@as_root
@pytest.mark.parametrize("walls", [["kernel"], ["hook"], []], ids=str)
def test_root_becomes_another_user_for_good(walls):
    program = (
        LIBC
        + """
assert os.getresuid() == os.getresgid() == (65534,) * 3, os.getresuid()
assert os.getgroups() == []
for call in (libc.setuid, libc.seteuid, libc.setgid):
    assert call(0) != 0
assert libc.setresuid(0, 0, 0) != 0
for capability in range(41):
    assert libc.prctl(23, capability, 0, 0, 0) == 0, capability
assert libc.prctl(39, 0, 0, 0, 0) == 1
"""
    )
    assert run_program(program, walls=walls).detail == ""


@as_root
@pytest.mark.parametrize("walls", [["kernel"], []], ids=str)
def test_what_root_alone_may_read_is_not_read(walls, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("of root")
    secret.chmod(0o600)
    for path in (secret, Path("/etc/shadow")):
        found = run_program(f"open({str(path)!r}).read()", walls=walls)
        assert found.detail.startswith(("PermissionError", "FileNotFoundError")), path


def test_no_device_is_there_but_the_harmless(kernel):
    program = """
import os
assert set(os.listdir('/dev')) == {'null', 'zero', 'full', 'random', 'urandom'}
assert open('/dev/null').read() == ''
assert len(open('/dev/urandom', 'rb').read(8)) == 8
for path in ('/', os.getcwd()):
    assert os.statvfs(path).f_flag & (os.ST_NODEV | os.ST_NOSUID) == os.ST_NODEV | os.ST_NOSUID
"""
    assert run_program(program, walls=kernel).detail == ""


# Calls by C code, of which Python tells no hook.

REFUSED = {
    "a socket of a path": "libc.socket(1, 1, 0)",
    "a socket of the net": "libc.socket(2, 1, 0)",
    "a pair of sockets": "libc.socketpair(1, 2, 0, (ctypes.c_int * 2)())",
    "shared memory": "libc.shmget(0x5EED, 4096, 0o1666)",
    "a semaphore": "libc.semget(0x5EED, 1, 0o1666)",
    "a queue": "libc.msgget(0x5EED, 0o1666)",
    "a process": "libc.fork()",
    "a program": "libc.execv(b'/bin/true', (ctypes.c_char_p * 2)(b'/bin/true', None))",
    "a signal": "libc.kill(os.getppid() or 1, 0)",
    "a look into a process": "libc.ptrace(16, os.getppid() or 1, 0, 0)",
    "a ring of calls": "libc.syscall(425, 1, ctypes.create_string_buffer(120))",
    "a mount": "libc.mount(b'none', b'/', b'none', 0x1020, b'')",
    "a namespace": "libc.unshare(0x10000000)",
}


@pytest.mark.parametrize("call", REFUSED)
def test_the_filter_refuses_what_no_program_needs(kernel, call):
    program = f"{LIBC}assert {REFUSED[call]} == -1\nraise ValueError(ctypes.get_errno())"
    assert run_program(program, walls=kernel).detail == "ValueError: 1"


@pytest.fixture
def no_namespaces(monkeypatch, tmp_path):
    """As on a machine that gives namespaces to nobody."""
    text = Path(jail.__file__).read_text()
    assert text.count("libc.unshare(") == 2
    script = tmp_path / "jail.py"
    script.write_text(text.replace("libc.unshare(", "abs("))
    monkeypatch.setattr(jail, "__file__", str(script))


def test_without_namespaces_the_filter_closes_sockets_and_processes(no_namespaces, monkeypatch):
    if os.geteuid() == 0:
        # Root's programs run as another user, who may have to be able to read the interpreter.
        if not Path("/usr/bin/python3").exists():
            pytest.skip("needs an interpreter for all")
        monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    program = LIBC + "assert libc.socket(1, 1, 0) == libc.fork() == -1\nassert os.getuid() != 0"
    found = run_program(program, walls=["kernel"])
    if not make_filter():
        pytest.skip("no filter for this machine")
    assert found.detail == ""
    assert found.isolation == Isolation(network=True, files=False, processes=True)


@as_root
def test_an_interpreter_that_only_root_can_enter_is_told(no_namespaces):
    if not jail._closed_folders("/"):
        pytest.skip("all users can enter this interpreter")
    with pytest.raises(SweeperError, match=r"who cannot enter .*; run as another user, or install"):
        run_program("")


# What starts a process is called without the event that tells of it.
QUIETLY = """
import subprocess
class Quiet:
    audit = staticmethod(lambda *_: None)
    def __getattr__(self, name):
        return getattr(sys, name)
subprocess.sys = Quiet()
subprocess.Popen(['/bin/true']).wait()
"""
AGAIN = "for name in ('_posixsubprocess', 'subprocess'): sys.modules.pop(name, None)\n"


@pytest.mark.parametrize("walls", [["kernel"], ["hook"]], ids=str)
@pytest.mark.parametrize("again", ["", AGAIN], ids=["at once", "loaded again"])
def test_no_process_is_started_below_subprocess(walls, again):
    if walls == ["kernel"] and not isolation().processes:
        pytest.skip("this kernel does not refuse processes")
    found = run_program(f"import sys\n{again}{QUIETLY}", walls=walls)
    assert found.end == "failed"
    assert found.detail.startswith(("PermissionError", "BlockingIOError")), found.detail


def test_what_imports_subprocess_still_runs():
    program = "import asyncio, subprocess, platform, multiprocessing, random; random.random()"
    assert run_program(program, walls=WALLS).detail == ""


def test_a_socket_of_a_service_is_out_of_reach(kernel, tmp_path):
    with socket.socket(socket.AF_UNIX) as service, tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "socket"
        service.bind(str(path))
        path.chmod(0o777)
        service.listen()
        connect = f"import socket; socket.socket(socket.AF_UNIX).connect({str(path)!r})"
        assert run_program(connect, walls=[]).is_passed
        assert run_program(connect, walls=kernel).detail.startswith("PermissionError")


@as_root
@pytest.mark.parametrize(
    "drop",
    [["--reuid=1234", "--regid=1234", "--clear-groups"], ["--bounding-set=-sys_admin"]],
    ids=["another user", "root that may not mount"],
)
def test_whoever_has_no_privileges_has_the_same_walls(kernel, drop):
    """With the system's own interpreter, if there is one: the tests' may be in root's folder."""
    if not (Path("/usr/bin/python3").exists() and shutil.which("setpriv")):
        pytest.skip("needs setpriv, and an interpreter for all")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        script = Path(folder) / "jail.py"
        script.write_text(Path(jail.__file__).read_text())
        request = {
            "program": "import os\nassert os.getuid() != 0\nos.fork()",
            "folder": folder,
            "walls": kernel,
            "limits": asdict(LIMITS),
            "filter": make_filter().hex(),
            "token": "t",
        }
        done = subprocess.run(
            ["setpriv", *drop, "/usr/bin/python3", "-B", str(script)],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            check=True,
            cwd=folder,
        )
    lines = dict(line.split(" ", 2)[1:] for line in done.stdout.splitlines() if line)
    had = json.loads(lines["had"])
    if had == {"network": True, "files": False, "processes": True}:
        pytest.skip("this kernel gives user namespaces to root alone")
    assert had == {"network": True, "files": True, "processes": True}
    assert "PermissionError" in lines["failed"]
