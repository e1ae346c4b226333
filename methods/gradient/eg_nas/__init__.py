"""EG-NAS: blocks by an enhanced gradient; networks of them are found by `methods.sampling.nsga2`."""
