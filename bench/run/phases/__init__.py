"""The phases of a run, each a file; `by_name` says how each is done."""
