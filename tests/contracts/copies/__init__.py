"""Tiny synthetic copies of the data sets that do not ship, laid out on disk as they are: a file a data set.

`write(root, monkeypatch)` writes one; its test images differ from its training images. A data set without a file here
has to load from an empty folder.
"""
