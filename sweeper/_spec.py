"""What every spec has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, model_validator

from sweeper_adapters.methods import require_numbers

__all__ = ["Spec"]


class Spec(BaseModel):
    """A frozen description that refuses fields it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )

    @model_validator(mode="before")
    @classmethod
    def _true_is_no_number(cls, values: object) -> object:
        require_numbers(cls, values)
        return values
