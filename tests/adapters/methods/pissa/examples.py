"""Examples of PiSSA."""

from sweeper_adapters.methods import PissaSpec

EXAMPLES = {
    "pissa": PissaSpec(rank=4),
    "pissa-ranks": PissaSpec(
        rank=4,
        rank_pattern={"q_proj": 2, r"layers\.0\..*down_proj": 6},
        alpha_pattern={"[kq]_proj": 5},
    ),
}
