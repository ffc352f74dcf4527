"""The data set that the sweeper generates itself."""

from __future__ import annotations

import hashlib
import json
from typing import Literal

from pydantic import Field

from sweeper._spec import Spec
from sweeper.data.examples import Example, Splits

__all__ = ["EmbeddedDataSpec"]


class EmbeddedDataSpec(Spec):
    """Generated instructions in several domains, for the embedded model."""

    kind: Literal["embedded"] = "embedded"
    """The data is generated."""
    train_rows: int = Field(default=2000, ge=1, le=20000)
    """Training examples."""
    eval_rows: int = Field(default=256, ge=1, le=5000)
    """Validation examples, and as many test examples."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of the examples drawn; which split a task falls into does not depend on it."""

    def require_available(self) -> None:
        """Does nothing: generated data is always there."""

    def fingerprint(self) -> str:
        """Returns the SHA-256 of the generated examples."""
        splits = self.load()
        content = json.dumps(
            [
                [
                    [_content(e) for e in part]
                    for part in (splits.train, splits.validation, splits.test)
                ]
            ],
            separators=(",", ":"),
        )
        return hashlib.sha256(content.encode()).hexdigest()

    def load(self) -> Splits:
        """Returns the generated examples."""
        from sweeper.data.embedded.instructions import generate

        return Splits(
            train=generate("train", rows=self.train_rows, seed=self.seed),
            validation=generate("validation", rows=self.eval_rows, seed=self.seed),
            test=generate("test", rows=self.eval_rows, seed=self.seed),
        )


def _content(example: Example) -> tuple[str, str, str, tuple[str, ...]]:
    """Returns what the generator sets; other fields of examples are no part of the fingerprint."""
    return example.prompt, example.answer, example.domain, example.choices
