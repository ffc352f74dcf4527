"""What a paper's item has on one profile is put into the document before anything else reads it."""

from __future__ import annotations

import json

from pydantic import ValidationError

from sweeper.experiment.documents.overrides import apply_overrides
from sweeper.experiment.documents.tree import Document
from sweeper.experiment.paper.spec import PaperSpec

__all__ = ["on_profile"]


def on_profile(document: Document, base: Document) -> Document:
    """Returns a document with the fields that its section ``paper`` sets on its profile.

    What was set stands in the document then, so the section keeps this profile alone, without its
    ``set``. A document without the section stays as it is, and so does a sweep's own file, which
    has a model and data of its own: it is such a document already.

    Args:
        document: over its profile.
        base: the profile, as it was read.

    Raises:
        SpecError: a path of ``set`` leads to no entry.
    """
    if "paper" not in document or "model" not in base:
        return document
    try:
        paper = PaperSpec.model_validate(document["paper"])
    except ValidationError:
        # What is wrong with the section is told with all the rest.
        return document
    name = str(base["profile"])
    own = paper.on(name)
    kept = own.model_dump(mode="json", exclude={"set"}, exclude_defaults=True)
    entry = document["paper"]
    assert isinstance(entry, dict)
    changed = apply_overrides(
        document, [f"{path}={json.dumps(value)}" for path, value in own.set.items()]
    )
    return {**changed, "paper": {**entry, "profiles": {name: kept}}}
