"""Sets of graphs, a file each: its first line is what lists say; `load` gives graphs, `own_sizes` what they have."""
