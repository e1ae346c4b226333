"""MGAS (multi-granularity differentiable architecture search, arXiv 2310.15074); docs/mgas.md explains the method."""
