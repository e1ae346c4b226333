"""Networks on one set of weights, evaluated as they are: lines of their own, beside no retrained row."""
