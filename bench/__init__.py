"""The harness: experiments, data, the search loop, the common trainer, counts, records, tracking."""
