"""Controlled comparisons: questions asked in paired settings, options by mean ranks, and how alike tasks are."""
