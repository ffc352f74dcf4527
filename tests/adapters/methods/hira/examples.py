"""Examples of HiRA."""

from sweeper_adapters.methods import HiraSpec

EXAMPLES = {
    "hira": HiraSpec(rank=4),
    "hira-ranks": HiraSpec(
        rank=4,
        rank_pattern={"q_proj": 2, r"layers\.0\..*down_proj": 6},
    ),
}
