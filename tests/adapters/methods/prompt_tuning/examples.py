"""Examples of Prompt Tuning."""

from sweeper_adapters.methods import PromptTuningSpec

EXAMPLES = {
    "prompt-tuning": PromptTuningSpec(virtual_tokens=3),
    "prompt-tuning-vocabulary": PromptTuningSpec(virtual_tokens=3, start="vocabulary"),
}
