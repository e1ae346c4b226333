"""Searches with two objectives: their fronts, how much these dominate, and which members were retrained."""
