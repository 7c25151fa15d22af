import torch

from diagnosis_tool.cxr import torchvision_compat


def test_torchvision_imports_and_a_second_call_changes_nothing() -> None:
    import torchvision

    assert torchvision.models.mobilenet_v2 is not None
    assert torchvision_compat.declare_missing_operators() is False
    assert hasattr(torch.ops.torchvision, "nms")
