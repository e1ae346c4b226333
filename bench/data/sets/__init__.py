"""A file a data set: its first line is what a list says of it, its `load` reads it (`bench.data.datasets`)."""
