"""The prior of learning rates: fitted to tables of learning curves, and held to those left out."""
