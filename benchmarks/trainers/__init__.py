"""A step of the sweeper's trainer against a plain loop's and transformers' Trainer's."""

__all__: list[str] = []
