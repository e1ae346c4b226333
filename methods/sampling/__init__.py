"""Methods that propose architectures and are told how they did; a file a method. docs/sampling.md compares them."""
