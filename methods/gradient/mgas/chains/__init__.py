"""MGAS in chains: any of six inverted residuals side by side at each place."""
