"""The tuners of this package by their names, which a spec knows without importing them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Tuner"]


@dataclass(frozen=True)
class Tuner:
    """Where the classes of a PEFT tuner of ours are, known without importing them."""

    peft_type: str
    """PEFT's name of the kind of adapter; saved adapters have it, too."""
    folder: str
    """Folder of the method, here beside, whose ``tuner.py`` has the classes."""
    stem: str
    """What their names begin with."""

    @property
    def module(self) -> str:
        """The module that has them."""
        return f"{__package__}.{self.folder}.tuner"

    @property
    def classes(self) -> tuple[str, str, str]:
        """Names of the config, of the adapted layer and of the adapted model."""
        return f"{self.stem}Config", f"{self.stem}Linear", f"{self.stem}Model"
