"""Examples of MASA's control arm."""

from sweeper_adapters.methods import MasaControlSpec

EXAMPLES = {
    "masa-control": MasaControlSpec(rank=4, experts=3),
}
