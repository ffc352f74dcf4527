"""Examples of PiSSA."""

from sweeper_adapters.methods import PissaSpec

EXAMPLES = {
    "pissa": PissaSpec(rank=4),
}
