"""Reads the deployment's files for tests."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]


class _Loader(yaml.SafeLoader):
    """Knows Compose's !reset: what it stands before replaces what another file said."""


_Loader.add_constructor("!reset", lambda loader, node: loader.construct_sequence(node))


def compose(name: str) -> dict[str, Any]:
    """A compose file."""
    loaded: dict[str, Any] = yaml.load((ROOT / name).read_text(), _Loader)
    return loaded


def dockerfile_environment() -> dict[str, str]:
    """What the last stage's ENV says."""
    final = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").rpartition("\nFROM ")[2]
    said = " ".join(line[4:] for line in final.splitlines() if line.startswith("ENV "))
    return dict(re.findall(r"(\w+)=(\S+)", said))
