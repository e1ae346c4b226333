"""Data sets, splits, augmentation and batches."""
