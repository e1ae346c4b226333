"""Networks of blocks: three stages, each of one block, repeated."""
