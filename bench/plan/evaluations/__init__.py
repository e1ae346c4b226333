"""What each evaluator can be told: a file an evaluator, with its `Options` (`bench.plan.evaluation`)."""
