"""Networks that are one chain of blocks, a choice at each place."""
