"""`make audit`: what is known of holes in the installed packages, asked of PyPI's advisory database by pip-audit.

An answer that could not be had is no good answer: pip-audit itself ends well where it found none of the packages there.
Exit status: 0 when every package was looked up and none has a known hole, 1 for holes, 2 when some were not looked up.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

_TIMEOUT_S: Final = 600
_SHOWN: Final = 10
_NOT_AUDITED: Final = "NOT AUDITED: PyPI's advisory database could not be reached. Nothing is known of any package."


def main() -> int:
    """Asks, prints, gives the exit status."""
    command = [Path(sys.executable).with_name("pip-audit"), "--local", "--skip-editable", "--format", "json"]
    run = subprocess.run(
        [*command, "--progress-spinner", "off"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )
    lines, status = judge(run.stdout)
    print("\n".join(lines))
    if status == 2:
        print(run.stderr[-2000:], file=sys.stderr)
    return status


def judge(answer: str) -> tuple[Sequence[str], int]:
    """(lines to print, exit status) of what pip-audit answered in JSON; '' or no JSON where it could not."""
    try:
        found: list[dict[str, Any]] = json.loads(answer)["dependencies"]
    except (ValueError, KeyError):
        return [_NOT_AUDITED], 2
    unknown = [one["name"] for one in found if "skip_reason" in one]
    unknown = [name for name in unknown if name != "diagnosis-tool"]  # ourselves
    holes = [
        f"{one['name']} {one['version']}: {hole['id']}, mended in {', '.join(hole['fix_versions']) or 'no release'}"
        for one in found
        for hole in one.get("vulns", ())
    ]
    audited = sum("vulns" in one for one in found)
    if not audited:
        return [_NOT_AUDITED], 2
    lines = [f"{audited} packages looked up, {len(holes)} known holes", *holes]
    if unknown:
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        lines.append(f"NOT AUDITED, as PyPI does not know them as installed: {', '.join(unknown[:_SHOWN])}{more}")
    return lines, 1 if holes else 2 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
