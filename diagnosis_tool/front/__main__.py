"""`python -m diagnosis_tool.front HOST PORT SOCKET THREADS PROXIES FOLDER`, as supervise.web_commands writes it."""

import asyncio
import os
import sys

from diagnosis_tool import logs
from diagnosis_tool.front.headers import ENV_KEY
from diagnosis_tool.front.server import main_place, run

if __name__ == "__main__":
    logs.configure_from_env()
    asyncio.run(run(main_place(sys.argv[1:], os.environ[ENV_KEY])))
