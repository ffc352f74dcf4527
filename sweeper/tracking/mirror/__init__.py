"""Sweeps kept at a URL: a working copy on this machine, a lease, and what is pushed and pulled.

All code reads and writes a folder. Here that folder is made one of a sweep at an object store, or
on NFS, whose driver holds a lease there.
"""

from __future__ import annotations

from sweeper.tracking.mirror.changing import changed_at_url
from sweeper.tracking.mirror.driving import (
    LOCK_FILE,
    change_lock,
    is_locked,
    mirrored,
)
from sweeper.tracking.mirror.following import (
    TrialPusher,
    claim_name,
    fetch,
    follow_home,
    push_file,
    push_rest,
)
from sweeper.tracking.mirror.lease import LeaseLostError
from sweeper.tracking.mirror.stores import StoreError
from sweeper.tracking.mirror.working_copy import (
    adapter_url,
    driver_elsewhere,
    is_at_url,
    place_of,
    words_of,
)

__all__ = [
    "LOCK_FILE",
    "LeaseLostError",
    "StoreError",
    "TrialPusher",
    "adapter_url",
    "change_lock",
    "changed_at_url",
    "claim_name",
    "driver_elsewhere",
    "fetch",
    "follow_home",
    "is_at_url",
    "is_locked",
    "mirrored",
    "place_of",
    "push_file",
    "push_rest",
    "words_of",
]
