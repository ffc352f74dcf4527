"""Databases that several sweeps share: their addresses, whether they answer, where a study is."""

from __future__ import annotations

from sweeper.tracking.databases.addresses import (
    is_postgresql,
    public_uri,
    scheme_of,
    without_secrets,
)
from sweeper.tracking.databases.postgresql import (
    Claim,
    answering,
    connect_arguments,
    holding,
    why_of,
)
from sweeper.tracking.databases.study_place import (
    STUDY_NOTE,
    StudyPlace,
    forget_place,
    note_place,
    place_of_study,
    shared_storage,
)

__all__ = [
    "STUDY_NOTE",
    "Claim",
    "StudyPlace",
    "answering",
    "connect_arguments",
    "forget_place",
    "holding",
    "is_postgresql",
    "note_place",
    "place_of_study",
    "public_uri",
    "scheme_of",
    "shared_storage",
    "why_of",
    "without_secrets",
]
