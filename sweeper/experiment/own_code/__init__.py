"""Code of a user's own that a document names: found, and named so that others find it, too."""

from __future__ import annotations

from sweeper.experiment.own_code.methods import locate_methods

__all__ = ["locate_methods"]
