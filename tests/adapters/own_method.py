"""A method of one's own as a user writes it, and files that are none."""

from pathlib import Path

import pytest

from sweeper_adapters.methods import _own

CLASS = "NarrowSpec"
SOURCE = '''
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from sweeper_adapters.methods import MethodSpec


class NarrowSpec(MethodSpec):
    """LoRA without a choice of its scale."""

    source: ClassVar[str] = "a test, section 1"

    name: Literal["narrow"] = "narrow"
    """Tag of this method."""
    rank: int = Field(default=2, ge=1)
    """Rank."""

    @property
    def exports_lora(self):
        return True

    def count(self, shape):
        widths = sum(x.in_features + x.out_features for x in self.adapted(shape))
        return self.rank * shape.layers * widths

    def peft_config(self):
        from peft import LoraConfig

        return LoraConfig(r=self.rank, target_modules=list(self.targets), task_type="CAUSAL_LM")

    def _size_problems(self, shape):
        yield from self._rank_problems(shape, rank=self.rank)
'''


def write_method(folder: Path, *changes: tuple[str, str], name: str = "mine.py") -> str:
    """Writes the method with some of its text replaced; returns how a search space names it."""
    text = SOURCE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / name).write_text(text)
    return f"{folder / name}:{CLASS}"


def forget_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes this process know as much of methods in files as one that has just begun."""
    monkeypatch.setattr(_own, "_LOADED", {})
