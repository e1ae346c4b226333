"""A third-party package that ends the program while it is imported."""

raise SystemExit("this one\ngives up")
