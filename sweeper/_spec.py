"""What every spec has in common, and what is said of a value that does not fit one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ErrorType

from sweeper_adapters.methods import require_numbers

__all__ = ["Spec", "reason_of"]


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


_FIELDS = "it must be fields with their values"
_NUMBER, _WHOLE = "it must be a number", "it must be a whole number"
# By pydantic's kinds; in braces what it says of a bound.
_REASONS = {
    "bool_type": "it must be true or false",
    "bool_parsing": "it must be true or false",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": "it must be a whole number with fewer digits",
    "int_from_float": "takes whole numbers only",
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "it must be a finite number",
    "greater_than": "it must be above {gt}",
    "greater_than_equal": "it must be at least {ge}",
    "less_than": "it must be below {lt}",
    "less_than_equal": "it must be at most {le}",
    "multiple_of": "it must be a multiple of {multiple_of}",
    "string_type": "it must be text; put it in quotes",
    "string_too_short": "it must have {min_length} or more characters",
    "string_too_long": "it must have {max_length} characters at most",
    "string_pattern_mismatch": "it must have the form {pattern}",
    "string_unicode": "it must be text in UTF-8",
    "too_short": "it must have {min_length} or more entries, and has {actual_length}",
    "too_long": "it must have {max_length} entries at most, and has {actual_length}",
    "tuple_type": "it must be a list",
    "list_type": "it must be a list",
    "set_type": "it must be a list",
    "frozen_set_type": "it must be a list",
    "dict_type": _FIELDS,
    "mapping_type": _FIELDS,
    "model_type": _FIELDS,
    "model_attributes_type": _FIELDS,
    "none_required": "it must be null",
    "literal_error": "it must be {expected}",
    "enum": "it must be {expected}",
    "union_tag_invalid": "it must be {expected_tags}",
    "union_tag_not_found": "it does not say which one is meant; give its {discriminator}",
    "missing": "it is missing",
    "extra_forbidden": "it is unknown",
    "path_type": "it must be a path",
    "datetime_type": "it must be a date with its time",
    "datetime_parsing": "it must be a date with its time",
    "datetime_from_date_parsing": "it must be a date with its time",
    "timezone_aware": "it must be a time with its time zone",
    "json_invalid": "it must be JSON ({error})",
    "json_type": "it must be JSON",
    "recursion_loop": "it contains itself",
}


def reason_of(details: ErrorDetails) -> str:
    """Returns why a value does not fit, in this program's words and never in pydantic's.

    Args:
        details: of one error of a validation.
    """
    kind, context = details["type"], details.get("ctx", {})
    if "error" in context and kind in {"value_error", "assertion_error"}:
        return str(context["error"])
    if kind not in _kinds():
        # A validator of this program has written it.
        return details["msg"]
    return _filled(_REASONS.get(kind, "it does not fit this field"), context)


def _filled(text: str, context: Mapping[str, Any]) -> str:
    bounds = {
        name: f"{value:g}" if isinstance(value, float) else value for name, value in context.items()
    }
    try:
        return text.format_map(bounds)
    except KeyError:
        return text.partition(" {")[0]


@cache
def _kinds() -> frozenset[str]:
    """The kinds of errors that are pydantic's own."""
    return frozenset(get_args(ErrorType))
