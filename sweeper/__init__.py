"""Sweeps of MASA, MoSA and their rivals on Ray, DeepSpeed and MLflow."""

__all__ = ["__version__"]

__version__ = "0.1.0"
