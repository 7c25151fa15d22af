"""`diagnosis-tool web`: the pages without a worker, for who runs the two apart."""

import argparse
from contextlib import AbstractContextManager

from diagnosis_tool import supervise
from diagnosis_tool.commands import first_start
from diagnosis_tool.commands.environment import settings_with
from diagnosis_tool.settings import Settings
from diagnosis_tool.storage.private import keep_private


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Registers `web`."""
    parser = commands.add_parser(
        "web", help="serve the pages only, on a database that `migrate` has made; workers run by themselves"
    )
    parser.set_defaults(command=_web)


def _web(_: argparse.Namespace) -> int:
    settings = settings_with()
    keep_private(settings.data_dir)
    supervise.refuse_taken_address(settings.host, settings.port)
    first_start.prepare(settings)
    with commands(settings) as started:
        return supervise.supervise(started)


def commands(settings: Settings) -> AbstractContextManager[dict[str, list[str]]]:
    """The processes that serve pages, by their names, for a supervisor that runs inside the block."""
    return supervise.web_commands(
        host=settings.host,
        port=settings.port,
        threads=settings.web_threads,
        proxies=settings.trusted_proxies,
        data_dir=settings.data_dir,
    )
