"""Documents as plain trees: read from YAML, put over a profile, changed by ``--set``."""

from __future__ import annotations

from sweeper.experiment.documents.overrides import apply_overrides
from sweeper.experiment.documents.packaged_spaces import find_packaged_folders
from sweeper.experiment.documents.profiles import merge_profile
from sweeper.experiment.documents.tree import Document, Json, Scalar
from sweeper.experiment.documents.yaml_files import read_yaml

__all__ = [
    "Document",
    "Json",
    "Scalar",
    "apply_overrides",
    "find_packaged_folders",
    "merge_profile",
    "read_yaml",
]
