"""`diagnosis-tool web`: the pages without a worker, for who runs the two apart."""

import argparse
import os

from diagnosis_tool import supervise
from diagnosis_tool.commands import first_start
from diagnosis_tool.commands.environment import settings_with


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Registers `web`."""
    parser = commands.add_parser(
        "web", help="serve the pages only, on a database that `migrate` has made; workers run by themselves"
    )
    parser.set_defaults(command=_web)


def _web(_: argparse.Namespace) -> int:
    settings = settings_with()
    supervise.refuse_taken_address(settings.host, settings.port)
    first_start.prepare(settings)
    command = supervise.web_command(host=settings.host, port=settings.port, threads=settings.web_threads)
    os.execv(command[0], command)  # noqa: S606  no process in between: signals reach gunicorn itself
