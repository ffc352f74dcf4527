"""A fork server: the processes of a local Ray start with their imports done.

A sweep on one machine is some fifteen Python processes: Ray's agents, Ray Train's controllers and
their helpers, thin trials, and the workers. Each imports the same libraries, all of them together
half a minute of processor time before the first step. The fork server imports them once, from the
first moment of the command on, and every process of Ray is a fork of it.

* :mod:`.server` imports and forks. It is a process of its own, without threads.
* :mod:`.client` is what Ray starts in place of Python. It hands its arguments, environment and open
  files to the server, and then stands for the fork: signals go through, and so does the exit code.
* :mod:`.identities` keeps Ray's random numbers of one fork apart from another's.
* :mod:`.starting` starts the server, and has Ray start the client.

Where there is no server, or it does not fork, the client becomes the Python that Ray has asked for.
"""

from __future__ import annotations

from sweeper.execution.forkserver.starting import (
    RAY_ENVIRONMENT,
    forked_workers,
    start_fork_server,
)

__all__ = ["RAY_ENVIRONMENT", "forked_workers", "start_fork_server"]
