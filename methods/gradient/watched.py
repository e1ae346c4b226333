"""The figures of gradient searches that have more, or less, than every search over operations."""

from __future__ import annotations

from methods.parts.watched import ENTROPY, OPERATIONS, USUAL
from methods.watched import Watched

REMOVED = Watched(
    "removed", "Removed so far", {"pruning/removed": ""}, "fraction",
    "Fraction of the network with all candidates that is gone, in the unit of the ratio",
)  # fmt: skip
OPERATION_PRUNING = (OPERATIONS, ENTROPY, REMOVED)
"""Without skip connections: they stay beside other operations, and four of them are no collapse."""

DECISIONS = Watched(
    "decision-entropies", "Entropy of each decision",
    {"arch/entropies_normal": "normal cells", "arch/entropies": "", "arch/entropies_reduce": "reduction cells"},
    "entropy (nats)", "Entropy of each decision's probabilities", "by cell", each="decision",
)  # fmt: skip
TEMPERATURE = Watched(
    "temperature", "Temperature", {"paths/temperature": ""}, "temperature",
    "Temperature of the Gumbel softmax: how the gradient is shared among the options of a draw",
)  # fmt: skip
RUN = (
    Watched(
        "path-updates", "Updates of a candidate",
        {"paths/updates_most": "most", "paths/updates_mean": "mean", "paths/updates_least": "least"},
        "weight updates", "How often a candidate has been trained so far, over all decisions",
    ),
    Watched(
        "drawn-nothing", "Skip connections and Zeros drawn", {"paths/skips": "skip connections", "paths/zeros": "none"},
        "share of the draws", "Share of an epoch's draws that had nothing to train",
    ),
    Watched(
        "drawn", "Operations drawn", {"paths/drawn/": ""}, "share of the draws",
        "Operations drawn in each epoch, over all decisions", "shares",
    ),
)  # fmt: skip
"""What single paths were run (`methods.parts.path_counts`)."""
PATHS = (*USUAL, DECISIONS, TEMPERATURE, *RUN)
MSG_DAS = (
    *PATHS,
    Watched(
        "identity-drop", "DropBlock on identities", {"paths/identity_drop": ""}, "rate",
        "About how many of an identity's pixels are dropped",
    ),
)  # fmt: skip
ENAS = (
    *USUAL,
    DECISIONS,
    *RUN,
    Watched(
        "rewards", "Rewards of the controller",
        {"controller/reward": "reward", "controller/baseline": "baseline", "controller/best": "best of the last draws"},
        "accuracy on a batch", "Mean reward of an epoch's draws, the baseline at its end, and the accuracy of what "
        "would be derived",
    ),
)  # fmt: skip
BINARY_GATES = (*USUAL, DECISIONS, *RUN)
REWARDED_GATES = (
    *BINARY_GATES,
    Watched(
        "baseline", "Baseline of the rewards", {"paths/baseline": ""}, "accuracy on a batch",
        "The moving average of accuracies that draws are compared with",
    ),
)  # fmt: skip
SURGENAS = (
    *PATHS,
    Watched(
        "identity-path", "Path around decisions", {"paths/identity": ""}, "eta",
        "Share of its input that is added to every decision's outcome",
    ),
)  # fmt: skip
SLIMMABLE = (
    Watched(
        "distillation", "In-place distillation", {"slimmable/distance": ""}, "KL divergence (nats)",
        "How far narrower networks are from what the largest one says, mean over those of an epoch",
    ),
)  # fmt: skip
FBNETV2 = (
    ENTROPY,
    DECISIONS,
    TEMPERATURE,
    Watched(
        "effective-widths", "Effective widths", {"widths/effective": ""}, "share of the largest",
        "What is expected of each choice: channels, or pixels of the image, as a share of its largest option",
        "by cell", each="decision",
    ),
)  # fmt: skip
DLSR = (
    OPERATIONS,
    ENTROPY,
    Watched(
        "kept-inputs", "Weight of the inputs that would be kept", {"joins/kept": ""}, "share",
        "Share that the two strongest inputs of each block have of all its inputs' weight", "by cell",
        each="block",
    ),
    Watched(
        "parameter-term", "Expected share of parameters", {"cost/parameter_term": ""}, "sum of shares",
        "Parameters expected of each refinement as a share of all candidates' together, summed over the refinements",
    ),
)  # fmt: skip

AUTOSHRINK_GATES = (
    Watched("graph-edges", "Edges left", {"graph/edges": ""}, "edges", "Open edges on a way from input to output"),
    Watched(
        "graph-score", "Score of the graph", {"graph/score": ""}, "score",
        "Validation accuracy of the open edges with the weights they have, less the points that their MACs cost",
    ),
)  # fmt: skip
