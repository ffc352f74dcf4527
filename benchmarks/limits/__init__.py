"""Whether sweeps keep their limits: simulated with faults, decided by the sweeper's own code."""
