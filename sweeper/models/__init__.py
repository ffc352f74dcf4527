"""Base models as specs: where the weights come from, what shape they have, how they are loaded.

The tagged union :data:`ModelSpec` is the registry: a new source is one class and one line here.
Nothing in this package imports torch or transformers until a model is loaded.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sweeper.models.frozen import FrozenBase, hold_base, load_base
from sweeper.models.gguf import GgufModelSpec
from sweeper.models.hub import HubModelSpec
from sweeper.models.local import EmbeddedModelSpec, FolderModelSpec
from sweeper.models.packaged import ArchitectureModelSpec
from sweeper.models.snapshot import ModelSnapshot
from sweeper.models.source import DTYPES, BaseModelSpec, LoadedModel, ModelSource

__all__ = [
    "DTYPES",
    "ArchitectureModelSpec",
    "BaseModelSpec",
    "EmbeddedModelSpec",
    "FolderModelSpec",
    "FrozenBase",
    "GgufModelSpec",
    "HubModelSpec",
    "LoadedModel",
    "ModelSnapshot",
    "ModelSource",
    "ModelSpec",
    "hold_base",
    "load_base",
]

ModelSpec = Annotated[
    EmbeddedModelSpec | FolderModelSpec | HubModelSpec | GgufModelSpec | ArchitectureModelSpec,
    Field(discriminator="kind"),
]
"""Any source of a base model; the field ``kind`` says which."""
