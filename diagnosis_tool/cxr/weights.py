"""A bundle's weights, loaded into its network or into the head alone."""

from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn
from torch.overrides import TorchFunctionMode

from diagnosis_tool.cxr.bundle import Bundle
from diagnosis_tool.cxr.network import ChestNetwork, build_network
from diagnosis_tool.errors import BundleInvalid


def load_network(bundle: Bundle) -> ChestNetwork:
    """The bundle's network with its weights, float32, in eval mode. Raises BundleInvalid when they do not fit."""
    with NoRandomStart():
        network = build_network(bundle.metadata.network, len(bundle.metadata.outputs))
    state = {}
    try:
        for item in bundle.metadata.weights:
            state.update(load_file(bundle.path / item.file))
        network.load_state_dict({name: tensor.float() for name, tensor in state.items()}, strict=True)
    except (SafetensorError, RuntimeError) as error:
        raise _do_not_fit(bundle, error) from error
    return network.eval()


_DRAWING: Final = frozenset({torch.Tensor.normal_, torch.Tensor.uniform_})


class NoRandomStart(TorchFunctionMode):
    """Within it nothing is drawn for weights that will be loaded; for a VGG-16 that takes as long as the loading.

    Source: PyTorch, torch.overrides.TorchFunctionMode; most of torch.nn.init's functions ask for it.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _DRAWING:
            # zeros, not what lay in memory: trunc_normal_ draws anew until all is within its bounds
            return args[0] if args[0].is_meta else args[0].zero_()
        if getattr(func, "__module__", "") == nn.init.__name__:
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


def load_head(bundle: Bundle) -> nn.Module:
    """The head alone of load_network's network: the backbone's weights are neither read nor given room."""
    with torch.device("meta"), NoRandomStart():  # else torch draws by its compiler there, which loads for a second
        head = build_network(bundle.metadata.network, len(bundle.metadata.outputs)).head
    state = {}
    try:
        for item in bundle.metadata.weights:
            with safe_open(bundle.path / item.file, framework="pt") as tensors:
                own = [name for name in tensors.keys() if name.startswith("head.")]  # noqa: SIM118  no mapping
                state.update({name.removeprefix("head."): tensors.get_tensor(name).float() for name in own})
        head.load_state_dict(state, strict=True, assign=True)
    except (SafetensorError, RuntimeError) as error:
        raise _do_not_fit(bundle, error) from error
    return head.eval().requires_grad_(False)


def _do_not_fit(bundle: Bundle, error: Exception) -> BundleInvalid:
    architecture = bundle.metadata.network.architecture
    return BundleInvalid(f"The weights in {bundle.path} do not fit {architecture}: {error}")
