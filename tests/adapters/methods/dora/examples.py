"""Examples of DoRA."""

from sweeper_adapters.methods import DoraSpec

EXAMPLES = {
    "dora": DoraSpec(rank=4),
    "dora-ranks": DoraSpec(
        rank=4,
        rank_pattern={"q_proj": 2, r"layers\.0\..*down_proj": 6},
        alpha_pattern={"[kq]_proj": 5},
    ),
}
