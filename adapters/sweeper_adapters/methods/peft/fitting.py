"""What a model must have of what a type's fields count: decoder layers, and rows of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sweeper_adapters.methods._facts import ModelShape

__all__ = ["misfits", "treats_layers_alike"]


def treats_layers_alike(fields: Mapping[str, object]) -> bool:
    """Whether no field says of one decoder layer what does not hold of another one."""
    return not any(name == "layers_to_transform" or name.endswith("_pattern") for name in fields)


def misfits(fields: Mapping[str, object], shape: ModelShape) -> Iterator[tuple[str, str]]:
    """Yields (field, message) for what a type's fields count that a model does not have.

    Args:
        fields: of the method, checked by themselves.
        shape: of the model.
    """
    yield from _missing(fields, "layers_to_transform", shape.layers, "layers")
    # What is not known of the model is found when the adapter is put into it.
    yield from _missing(fields, "token_indices", shape.vocabulary or 2**31, "rows of tokens")
    wanted = fields.get("adapter_layers")
    if isinstance(wanted, int) and wanted > shape.layers:
        yield (
            "adapter_layers",
            f"adapter_layers is {wanted} but the model has {shape.layers} layers; allowed is 1 to "
            f"{shape.layers}; change it",
        )


def _missing(
    fields: Mapping[str, object], name: str, size: int, what: str
) -> Iterator[tuple[str, str]]:
    value = fields.get(name)
    indices = value if isinstance(value, list) else [value]
    missing = [x for x in indices if isinstance(x, int) and not 0 <= x < size]
    if missing:
        yield (
            name,
            f"{name} has {', '.join(map(str, missing))} but the model has {size} {what}; allowed "
            f"is 0 to {size - 1}; take it out",
        )
