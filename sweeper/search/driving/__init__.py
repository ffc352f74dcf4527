"""The study as its only driver has it: kept in memory, and what of it the sampler is shown."""
