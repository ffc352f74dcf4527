"""The operations as operators of torch, and what several of them are made of."""

__all__ = ()
