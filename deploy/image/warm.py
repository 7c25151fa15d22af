"""Run while the image is built: does once what serving does, so that Python compiles what is used, and nothing else.

PYTHONPYCACHEPREFIX says where to. Without it a read-only image would compile 2,000 modules at each start.
"""

import os
import subprocess
import sys
import tempfile

PAGES = """
from diagnosis_tool.app import from_env
client = from_env().test_client()
for path in ("/healthz", "/", "/viewer/", "/viewer/_dash-layout", "/metrics"):
    client.get(path)
import gunicorn.app.wsgiapp, gunicorn.workers.gthread
import diagnosis_tool.services.report_page
import urllib.request
"""


def main() -> None:
    """Reads golden pictures with each engine, makes a database, asks for pages."""
    with tempfile.TemporaryDirectory() as data_dir:
        environment = {**os.environ, "DATA_DIR": data_dir}
        for engine in ("openvino", "torch"):
            _run("-m", "diagnosis_tool.cli", "verify-bundle", env={**environment, "ENGINE": engine})
        _run("-m", "diagnosis_tool.cli", "migrate", env=environment)
        _run("-c", PAGES, env=environment)


def _run(*arguments: str, env: dict[str, str]) -> None:
    subprocess.run([sys.executable, *arguments], env=env, check=True)


if __name__ == "__main__":
    main()
