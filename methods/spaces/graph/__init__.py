"""Cells that are graphs of simple nodes; what is decided is which edges they have."""
