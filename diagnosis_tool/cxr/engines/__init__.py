"""What runs a network. Importing this loads torch; OpenVINO is loaded by openvino_engine alone."""

from diagnosis_tool.cxr.engines.protocol import Engine
from diagnosis_tool.cxr.engines.torch_engine import TorchEngine

__all__ = ["Engine", "TorchEngine"]
