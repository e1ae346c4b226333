"""How long a step takes, what it spends its time on, and what stands between it and the device's limits.

cases       the steps: searches and retraining, each beside its textbook where the checkout has one
measure     their times and memory on this machine, beside the roofline
count       what a step does, whatever it runs on: operations, bytes, kept memory; also without a device
"""
