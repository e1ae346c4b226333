"""Tasks on graphs: what an experiment says of them, sets of graphs, and labels and features computed on them."""
