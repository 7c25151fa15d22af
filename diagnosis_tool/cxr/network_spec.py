"""What a network is made of, in plain values: part of a bundle's metadata and of a training recipe. Torch-free."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """Everything needed to build the network that a set of weights belongs to. No field has a default.

    architecture: a name that diagnosis_tool.cxr.network knows, for example 'efficientnet_b7'.
    in_channels: 1 for a one-channel first layer, 3 for a network that sees the grey image three times.
    input_px: side of the image that CoAtNet's position tables are made for; 0 for all others, which take any size.
    mean, std: per input channel, on pixels divided by 255; the network normalises by itself.
    trunk_activation: 'own' for the architecture's own, or a name in diagnosis_tool.cxr.activations for all of them.
    head_grid: side of the grid that the feature map is averaged to; 1 is global pooling, 7 is VGG-16's own head.
    head_hidden: widths of the dense layers before the last one, often none.
    head_activation, head_batch_norm: what follows each of those dense layers; without them both are unused.
    head_dropout: probability of dropping a feature before the last layer, and after each dense one, while training.
    """

    architecture: str
    in_channels: int
    input_px: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    trunk_activation: str
    head_grid: int
    head_hidden: tuple[int, ...]
    head_activation: str
    head_batch_norm: bool
    head_dropout: float
