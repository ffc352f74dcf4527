"""A trial's evaluations in training: all rows, or as many as its race with the best takes."""

from __future__ import annotations

from sweeper.training.validation.validation import Validated, Validation

__all__ = ["Validated", "Validation"]
