"""MGAS (multi-granularity differentiable architecture search, arXiv 2310.15074); docs/mgas.md explains the method."""

from methods.gradient.mgas.options import MGASOptions
from methods.gradient.mgas.search import MGAS

__all__ = ["MGAS", "MGASOptions"]
