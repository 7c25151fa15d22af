"""What a network is made of, in plain values: part of a bundle's metadata and of a training recipe. Torch-free."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """Everything needed to build the network that a set of weights belongs to. No field has a default.

    architecture: a name that diagnosis_tool.cxr.network knows, for example 'efficientnet_b7'.
    in_channels: 1 for a one-channel first layer, 3 for a network that sees the grey image three times.
    mean, std: per input channel, on pixels divided by 255; the network normalises by itself.
    head_dropout: probability of dropping a feature before the last layer while training.
    head_hidden: width of an extra dense layer (ReLU) before the last one, 0 for none.
    """

    architecture: str
    in_channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    head_dropout: float
    head_hidden: int
