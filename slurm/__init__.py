"""Launching on a SLURM cluster through submitit, and reconciling what happened there with the records."""
