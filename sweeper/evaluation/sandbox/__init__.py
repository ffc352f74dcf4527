"""Programs that a model wrote, run behind walls."""

from __future__ import annotations

from sweeper.evaluation.sandbox.run import (
    Isolation,
    Limits,
    ProgramOutcome,
    isolation,
    run_program,
)

__all__ = ["Isolation", "Limits", "ProgramOutcome", "isolation", "run_program"]
