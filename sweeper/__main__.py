"""``python -m sweeper``.

Nothing heavy is imported before an interrupt is handled: the imports of a command take seconds.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from typing import NoReturn


def main() -> None:
    """Runs the command line; an interrupt ends it with exit code 130 and without a traceback."""
    _open_standard_streams()
    # What a cluster's manager sends is a Ctrl-C: what is needed to go on is on disk.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        from sweeper.cli import main as run_command

        run_command()
    except KeyboardInterrupt:
        os.write(2, b"Interrupted.\n")
        os._exit(130)
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            _end(ended.code or 0)
        raise


def _end(code: int) -> NoReturn:
    """Ends the process without taking apart what is in memory.

    With torch and Ray that takes a second, in which the prompt is not back.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            # Whoever has read it is gone.
            continue
        except (OSError, ValueError):
            # What Python ends with where output is lost.
            code = 120
    os._exit(code)


def _open_standard_streams() -> None:
    """Opens what the caller has closed, or the next file opened would be standard output."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


if __name__ == "__main__":
    main()
