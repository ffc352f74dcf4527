"""Examples of MAE."""

from sweeper_adapters.methods import MaeSpec

EXAMPLES = {
    "mae": MaeSpec(rank=4, experts=3),
    "mae-router": MaeSpec(rank=4, experts=3, router="softmax"),
}
