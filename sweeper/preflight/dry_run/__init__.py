"""A sweep tried without its model: so that the first hour on a cluster is not the first test.

What can be tried of it is: the architecture on torch's meta device, each trial's adapter in it,
DeepSpeed's configuration of each trial, and rows of each task as a trial would read them. What is
not at hand, such as a gated model's tokenizer or a data set, is said to be so. Nothing is
downloaded and nothing is trained.
"""

from __future__ import annotations

from sweeper.preflight.dry_run.dry_running import dry_run
from sweeper.preflight.dry_run.finding import DryRunFinding

__all__ = ["DryRunFinding", "dry_run"]
