import pytest
import torch
from torch import nn
from torchvision import models

from diagnosis_tool.cxr import torchvision_compat  # noqa: F401  before torchvision
from diagnosis_tool.cxr.network import build_network
from tests.recipes import tiny_recipe
from training.config import StartConfig
from training.errors import StartWeightsMissing
from training.start_weights import load_start_weights


def _network(architecture="resnet18", **changes):
    changes = {f"network__{key}": value for key, value in changes.items()}
    return build_network(tiny_recipe(network__architecture=architecture, **changes).network, 3).eval()


def _start(weights, file):
    return StartConfig(weights=weights, file=str(file))


def test_a_grey_network_answers_as_torchvisions_own_does(tmp_path):
    torch.manual_seed(0)
    theirs = models.resnet18(weights=None).eval()
    torch.save(theirs.state_dict(), tmp_path / "r.pth")
    grey = _network(in_channels=1, mean=[0.485], std=[0.25])
    said = load_start_weights(grey, "resnet18", _start("torchvision", tmp_path / "r.pth"))
    assert said.startswith("torchvision's resnet18 trained on ImageNet")
    x = torch.randint(0, 256, (2, 64, 64))
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    kernel, first = theirs.conv1.weight, grey.features[0]
    inner = nn.Sequential(theirs.conv1, theirs.bn1)((x[:, None] / 255 - mean) / std)[:, :, 4:-4, 4:-4]
    ours = grey.features[:2](grey.normalise(x))[:, :, 4:-4, 4:-4]
    torch.testing.assert_close(ours, inner, atol=1e-4, rtol=1e-3)
    assert first.weight.shape[1] == 1 != kernel.shape[1]


def test_timms_own_names(tmp_path):
    network = _network("resnet50_v2")
    torch.save({**network.features.state_dict(), "head.fc.weight": torch.ones(1)}, tmp_path / "r.pth")
    other = _network("resnet50_v2")
    load_start_weights(other, "resnet50_v2", _start("timm", tmp_path / "r.pth"))
    conv = [n.features.stem.conv.weight for n in (network, other)]
    torch.testing.assert_close(conv[1], conv[0] * 0.25 / 0.5)  # the network's std against the weights' own


@pytest.mark.parametrize("file", ["", "nowhere.pth"])
def test_missing_weights_stop_with_the_command_that_gets_them(file):
    with pytest.raises(StartWeightsMissing, match=r"(?s)torchvision\.models\.resnet18.*start\.weights=random"):
        load_start_weights(_network(), "resnet18", _start("torchvision", file))


def test_files_of_other_networks_and_damaged_files_are_named(tmp_path):
    torch.save(models.resnet34(weights=None).state_dict(), tmp_path / "r34.pth")
    (tmp_path / "bad.pth").write_bytes(b"nothing")
    for name in ("r34.pth", "bad.pth"):
        with pytest.raises(StartWeightsMissing, match=f"{name} does not hold the weights of resnet18"):
            load_start_weights(_network(), "resnet18", _start("torchvision", tmp_path / name))
    with pytest.raises(StartWeightsMissing, match="torchvision publishes no weights of resnet50_v1"):
        load_start_weights(_network("resnet50_v1"), "resnet50_v1", _start("torchvision", tmp_path / "r34.pth"))
    torch.save({}, tmp_path / "v2.pth")
    network = _network("resnet50_v2", mean=[0.4, 0.5, 0.5])
    with pytest.raises(StartWeightsMissing, match=r"network\.mean = 0\.5"):
        load_start_weights(network, "resnet50_v2", _start("timm", tmp_path / "v2.pth"))
