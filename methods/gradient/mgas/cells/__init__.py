"""MGAS in cells of DARTS: any of seven operations on each of 14 edges, cells independent of each other."""
