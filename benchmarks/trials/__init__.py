"""A search of thousands of trials without training: what each costs the sweeper itself."""
