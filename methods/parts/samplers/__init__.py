"""Samplers that draw: which option of each decision is run in a forward pass, and what gradient its probability gets.

Each knows probabilities and nothing of what the options are. All but the controller take `Logits` and give `Gates`
(`methods.parts.gates`); those of several paths give a list, a path each. What is random comes from a generator on the
host that the search owns, seeds and saves: the same draws on every device and in every process that shares a search.
"""
