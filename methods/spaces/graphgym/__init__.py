"""GraphGym's design space: networks of graphs over PyTorch Geometric."""
