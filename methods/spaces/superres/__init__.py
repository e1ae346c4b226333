"""Networks of single-image super-resolution: the distillation backbone that DLSR searches in."""
