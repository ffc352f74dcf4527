"""What the workers of one replica tell each other."""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from sweeper.errors import SweeperError

if TYPE_CHECKING:
    import torch
    from torch.distributed import ProcessGroup

__all__ = [
    "alone",
    "broadcast",
    "control_group",
    "gather",
    "is_meeting",
    "on_first_worker",
    "rank",
    "sum_over_ranks",
    "workers",
]

T = TypeVar("T")

# Seconds in which all workers come out of a failed trial, or one of them hangs in a collective.
MEETING_TIME_S = 20.0


@contextmanager
def alone(backend: Literal["gloo", "nccl"] = "gloo") -> Iterator[None]:
    """Makes this process a group of one worker while it is open, as a replica without Ray is.

    Args:
        backend: of torch.distributed; ``nccl`` is for GPUs.
    """
    import torch.distributed as dist

    with tempfile.TemporaryDirectory() as folder:
        dist.init_process_group(backend, init_method=f"file://{folder}/store", rank=0, world_size=1)
        try:
            yield
        finally:
            dist.destroy_process_group()


def rank() -> int:
    """Returns the number of this worker, from 0; it is alone where nothing says otherwise."""
    import torch.distributed as dist

    return dist.get_rank() if dist.is_initialized() else 0


def workers() -> int:
    """Returns how many workers the replica has."""
    import torch.distributed as dist

    return dist.get_world_size() if dist.is_initialized() else 1


def sum_over_ranks(values: Sequence[float], *, device: torch.device) -> list[float]:
    """Returns each value summed over all workers, in float64; the same on every worker.

    Args:
        values: this worker's summands, as many on every worker.
        device: where the process group can sum: the GPU with nccl, the CPU with gloo.
    """
    import torch
    import torch.distributed as dist

    total = torch.tensor(values, dtype=torch.float64, device=device)
    if workers() > 1:
        dist.all_reduce(total)
    return [float(value) for value in total.tolist()]


def broadcast(value: T, *, group: ProcessGroup | None = None) -> T:
    """Returns the value that worker 0 has; ``group`` is the one that trains where None."""
    import torch.distributed as dist

    box = [value]
    if workers() > 1:
        dist.broadcast_object_list(box, src=0, group=group)
    return box[0]


def gather(value: T, *, group: ProcessGroup | None = None) -> list[T]:
    """Returns the values of all workers, in the order of their ranks, on every worker.

    Args:
        value: this worker's.
        group: of all workers; the one that trains where None.
    """
    import torch.distributed as dist

    if workers() == 1:
        return [value]
    values: list[Any] = [None] * workers()
    dist.all_gather_object(values, value, group=group)
    return values


def control_group() -> ProcessGroup | None:
    """Returns a new group of all workers for :func:`is_meeting`; None where there is only one."""
    import torch.distributed as dist

    return dist.new_group(backend="gloo") if workers() > 1 else None


def is_meeting(control: ProcessGroup | None) -> bool:
    """Returns whether all workers get here within a short time.

    After a failure of one worker alone the others hang in a collective of the trial; whatever
    would need them must not be started.

    Args:
        control: of :func:`control_group`.
    """
    import torch.distributed as dist

    if control is None:
        return True
    timeout = datetime.timedelta(seconds=MEETING_TIME_S)
    try:
        dist.monitored_barrier(group=control, timeout=timeout)
    except RuntimeError:
        return False
    return True


@dataclass(frozen=True)
class _Raised:
    """Why worker 0 failed."""

    reason: str


def on_first_worker(
    work: Callable[[], T],
    *,
    failure: Callable[[str], Exception] = SweeperError,
    group: ProcessGroup | None = None,
) -> T:
    """Returns what the work on worker 0 returns; where it raises, all workers raise.

    Args:
        work: done on worker 0 alone.
        failure: makes the exception of the other workers from worker 0's "Type: message".
        group: the process group that tells the others; the one that trains where None.
    """
    result: T | _Raised | None = None
    if rank() == 0:
        try:
            result = work()
        except BaseException as error:
            broadcast(_Raised(f"{type(error).__name__}: {error}"), group=group)
            raise
    shared = broadcast(result, group=group)
    if isinstance(shared, _Raised):
        raise failure(shared.reason)
    return cast("T", shared)
