"""Examples of DoRA."""

from sweeper_adapters.methods import DoraSpec

EXAMPLES = {
    "dora": DoraSpec(rank=4),
}
