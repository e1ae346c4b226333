"""Algorithms: search spaces, the parts that methods are composed of, and one short recipe per method."""
