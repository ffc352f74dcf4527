"""Examples of P-Tuning."""

from sweeper_adapters.methods import PTuningSpec

EXAMPLES = {
    "p-tuning": PTuningSpec(virtual_tokens=3),
    "p-tuning-lstm": PTuningSpec(virtual_tokens=3, encoder="lstm", encoder_size=5),
}
