"""Measured latencies: collected, fitted, and loaded as the cost of a search."""
