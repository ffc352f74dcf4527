"""What every spec has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from sweeper_adapters.methods import require_number

__all__ = ["Spec"]


class Spec(BaseModel):
    """A frozen description that refuses fields it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        require_number(cls, info.field_name, value)
        return value
