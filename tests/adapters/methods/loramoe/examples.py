"""Examples of LoRAMoE."""

from sweeper_adapters.methods import LoraMoeSpec

EXAMPLES = {
    "loramoe": LoraMoeSpec(rank=4, experts=4, knowledge_domains=("letter",)),
}
