"""Examples of HiRA."""

from sweeper_adapters.methods import HiraSpec

EXAMPLES = {
    "hira": HiraSpec(rank=4),
}
