"""docs/deploy.md's commands are run, but for the words that are Docker's; what it names is there."""

import re
import shlex
from pathlib import Path

import pytest

from diagnosis_tool import cli
from tests.deployment.files import ROOT

TEXT = (ROOT / "docs" / "deploy.md").read_text()


def commands() -> list[list[str]]:
    block = re.search(r"<!-- test: .*?-->\n```sh\n(.*?)```", TEXT, re.S)
    assert block is not None
    return [shlex.split(line) for line in block[1].splitlines()]


def test_its_commands_work_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    assert cli.main(["migrate"]) == 0
    assert len(commands()) >= 12
    for words in commands():
        said = words[words.index("app") + 1 :]
        said = said[1:] if said[0] == "diagnosis-tool" else said
        said = [word.replace("/backups", str(tmp_path)) for word in said]
        assert cli.main(said) == 0, said
    backup = tmp_path / "monday.tar"
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "restored"))
    assert cli.main(["restore", str(backup)]) == 0


def test_the_files_it_names_are_there() -> None:
    named = re.findall(r"(?:docs|deploy|diagnosis_tool)/[\w./-]+\.\w+", TEXT)
    assert named
    for name in named:
        assert (ROOT / name).is_file(), name


def test_what_it_writes_into_env_is_read_by_compose() -> None:
    compose = (ROOT / "compose.yaml").read_text()
    for key in ("DATA_VOLUME", "SECRET_KEY", "AUDIT_KEY", "LOG_FORMAT", "IMAGE", "WORKERS"):
        assert f"${{{key}:-" in compose
        assert key in TEXT
