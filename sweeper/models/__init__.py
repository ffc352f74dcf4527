"""Base models as specs: where the weights come from, what shape they have, how they are loaded.

The tagged union :data:`ModelSpec` is the registry: a new source is one class and one line here.
Nothing in this package imports torch or transformers until a model is loaded.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sweeper.models._base import DTYPES, BaseModelSpec, LoadedModel, ModelSource
from sweeper.models.gguf import GgufModelSpec
from sweeper.models.hub import HubModelSpec
from sweeper.models.local import EmbeddedModelSpec, FolderModelSpec
from sweeper.models.packaged import ArchitectureModelSpec

__all__ = [
    "DTYPES",
    "ArchitectureModelSpec",
    "BaseModelSpec",
    "EmbeddedModelSpec",
    "FolderModelSpec",
    "GgufModelSpec",
    "HubModelSpec",
    "LoadedModel",
    "ModelSource",
    "ModelSpec",
]

ModelSpec = Annotated[
    EmbeddedModelSpec | FolderModelSpec | HubModelSpec | GgufModelSpec | ArchitectureModelSpec,
    Field(discriminator="kind"),
]
"""Any source of a base model; the field ``kind`` says which."""
