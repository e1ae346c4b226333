"""H-DAS (Liu et al., AAAI 2021, arXiv 2101.04028): cells by stage (`cells.py`), and stages as graphs of cells."""
