"""Which code ran."""

import subprocess
from pathlib import Path


def git_commit() -> str:
    """The commit of the code that runs, with '-dirty' when tracked files were changed; 'unknown' outside a checkout."""
    here = Path(__file__).parent
    commit, changes = (
        subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
        for command in (["git", "rev-parse", "HEAD"], ["git", "status", "--porcelain", "--untracked-files=no"])
    )
    if commit.returncode != 0:
        return "unknown"
    return commit.stdout.strip() + ("-dirty" if changes.stdout.strip() else "")
