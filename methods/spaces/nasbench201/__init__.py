"""NAS-Bench-201 (Dong and Yang, ICLR 2020, arXiv 2001.00326): 15,625 cells, each trained and published by its authors.

The same cells are the topology space of NATS-Bench (Dong et al., TPAMI 2021).
"""
