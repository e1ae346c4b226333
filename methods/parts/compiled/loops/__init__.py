"""The loops themselves, over activations as they lie in channels-last memory: pixel by pixel, its channels together.

An activation is a flat array, taken in tiles of some pixels. What belongs to a channel (a mean, a scale, a sum) is an
array of a tile's length too, in which the channels repeat: each number of a tile then has its own, next to the last
one's, and the innermost loops are as long as a tile and run in vectors whatever the number of channels.

    moments      the sums that a batch's mean and variance are made of
    sums         weighting and sum over candidates, and their gradients
    rectified    ReLU after a normalisation, or of a state that is repeated for its edges
    pools        3x3 pools of stride 1
    depthwise    weight gradients of depthwise convolutions
    pointwise    1x1 convolutions of a few channels an edge
"""
