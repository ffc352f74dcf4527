"""pass@1 of HumanEval: the share of generated functions that pass their tests, in a sandbox."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from sweeper.estimates import Estimate, mean_estimate
from sweeper.evaluation.metrics.inputs import require_pairs
from sweeper.evaluation.sandbox.capacity import programs_at_once
from sweeper.evaluation.sandbox.run import (
    Limits,
    ProgramOutcome,
    run_program,
    warn_of_missing_walls,
)

__all__ = [
    "STOP_STRINGS",
    "ProgrammingProblem",
    "pass_at_1",
    "program_of",
    "run_completions",
    "truncated",
]

STOP_STRINGS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
"""Where a completion ends: something new at the margin (Codex, arXiv:2107.03374, section 2)."""
FENCE = re.compile(r"```[^\n]*\n(.*?)(?:\n```|\Z)", re.DOTALL)


@dataclass(frozen=True)
class ProgrammingProblem:
    """One problem of HumanEval."""

    prompt: str
    """Imports, perhaps other functions, and the head of the wanted one with its docstring."""
    entry_point: str
    """Name of the wanted function."""
    test: str
    """Source that defines ``check(candidate)``."""


def truncated(completion: str) -> str:
    """Returns the completion up to the first of the stop strings."""
    ends = [completion.find(stop) for stop in STOP_STRINGS]
    return completion[: min((end for end in ends if end >= 0), default=len(completion))]


def program_of(problem: ProgrammingProblem, completion: str) -> str:
    """Returns the program that tests a completion.

    A completion continues the prompt and is cut at the first stop string. A model trained to follow
    instructions may answer with the whole function instead, perhaps in a fenced block: the block
    is taken, and what defines the wanted function at the left margin is not cut, and replaces the
    prompt's head of it.

    Args:
        problem: with its tests.
        completion: what the model wrote after the prompt.
    """
    fenced = FENCE.search(completion)
    code = fenced[1] if fenced else completion
    defines = re.compile(rf"^(?:async )?def {re.escape(problem.entry_point)}\b", re.MULTILINE)
    if defines.search(code):
        # What comes before the wanted function: its imports, and functions that it calls.
        head = defines.split(problem.prompt, maxsplit=1)[0]
        source = head + code
    else:
        source = problem.prompt + truncated(code)
    return f"{source}\n\n{problem.test}\n\ncheck({problem.entry_point})\n"


def run_completions(
    completions: Sequence[str],
    problems: Sequence[ProgrammingProblem],
    *,
    limits: Limits | None = None,
) -> list[ProgramOutcome]:
    """Returns how the tests of each completion end.

    As many run at once as this process's share of processors and memory holds.

    Args:
        completions: one for each problem, by greedy decoding.
        problems: in the same order.
        limits: of each program; the sandbox's own where None.

    Raises:
        BadInputError: completions and problems have different lengths.
        SweeperError: the sandbox does not work on this machine.
    """
    require_pairs(completions, problems, "completions and problems")
    warn_of_missing_walls()
    programs = [program_of(p, c) for p, c in zip(problems, completions, strict=True)]
    at_once = programs_at_once((limits or Limits()).memory_bytes)
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        return list(pool.map(lambda program: run_program(program, limits=limits), programs))


def pass_at_1(
    completions: Sequence[str],
    problems: Sequence[ProgrammingProblem],
    *,
    limits: Limits | None = None,
) -> Estimate:
    """Returns the share of completions that pass their tests.

    The arguments and errors are those of :func:`run_completions`.
    """
    outcomes = run_completions(completions, problems, limits=limits)
    return mean_estimate([float(outcome.is_passed) for outcome in outcomes])
