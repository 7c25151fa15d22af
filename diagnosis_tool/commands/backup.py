"""`diagnosis-tool backup`, `restore` and `check`: that nothing is lost."""

import argparse
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Final

from diagnosis_tool import resources
from diagnosis_tool.commands.environment import existing_context, settings_with
from diagnosis_tool.domain.audit import Action
from diagnosis_tool.errors import DatabaseInvalid
from diagnosis_tool.services.audit import record_command
from diagnosis_tool.services.backup import restore, write_backup
from diagnosis_tool.services.check import CheckReport, check_store

_OK: Final = 0
_NOT_SOUND: Final = 2


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Registers the three commands."""
    backup = commands.add_parser("backup", help="copy database, films and key, while the tool serves")
    backup.add_argument("target", type=Path, metavar="TARGET", help="a new folder, or a new file NAME.tar")
    backup.set_defaults(command=_backup)
    restoring = commands.add_parser("restore", help="make the empty folder DATA_DIR from a backup")
    restoring.add_argument("backup", type=Path, metavar="BACKUP", help="the folder or the file NAME.tar")
    restoring.set_defaults(command=_restore)
    check = commands.add_parser("check", help="compare rows, films and hashes; exit code 2 when something is wrong")
    check.add_argument(
        "--remove-orphans", action="store_true", help="remove files that no study names and no upload waits for"
    )
    check.set_defaults(command=_check)


def _backup(options: argparse.Namespace) -> int:
    settings, context = settings_with(), existing_context()
    made = write_backup(
        context,
        data_dir=settings.data_dir,
        database_file=settings.database_file,
        migrations=resources.migrations_dir(),
        target=options.target,
    )
    manifest = made.manifest
    record_command(context, Action.BACKUP, detail=f"{manifest.studies} studies, {manifest.images} images")
    print(
        f"{options.target}: {manifest.studies} studies, {manifest.images} images, {len(manifest.entries)} files, "
        f"{manifest.size_bytes / 1e6:.1f} MB. It holds patients' data and the key that signs sessions: keep it safe."
    )
    for sha256 in manifest.missing:
        print(f"missing: the file {sha256} was not there to be copied.")
    for sha256 in made.damaged:
        print(f"damaged: the file {sha256} is not what was uploaded; it was copied as it is.")
    if not made.is_sound:
        print("The store itself is not sound: `diagnosis-tool check` says more. The rest is in the backup.")
    return _OK if made.is_sound else _NOT_SOUND


def _restore(options: argparse.Namespace) -> int:
    data_dir = settings_with().data_dir
    manifest = restore(backup=options.backup, data_dir=data_dir, migrations=resources.migrations_dir())
    with suppress(DatabaseInvalid):  # an older schema may have no audit log yet
        record_command(existing_context(), Action.RESTORE, detail=f"as of {manifest.created_at}")
    print(
        f"{data_dir} holds {manifest.studies} studies, {manifest.images} images as of {manifest.created_at}, each file "
        "as its hash says. Start the tool with this DATA_DIR; `serve` and `migrate` bring an older schema up to date. "
        "Everybody has to sign in again; one-time links ended, API tokens are those of the backup."
    )
    for sha256 in manifest.missing:
        print(f"missing: the file {sha256} was missing already when the backup was made.")
    return _NOT_SOUND if manifest.missing else _OK


def _check(options: argparse.Namespace) -> int:
    report = check_store(existing_context(), remove_orphans=options.remove_orphans)
    for fault in report.faults:
        print(f"{fault.kind}: {fault.what}")
    print(_summary(report))
    return _OK if report.is_sound else _NOT_SOUND


def _summary(report: CheckReport) -> str:
    counts = Counter(fault.kind for fault in report.faults)
    outcome = ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "all sound"
    notes = [f"{report.in_flight} of uploads that run or broke off lately"] if report.in_flight else []
    notes += [f"{report.removed} orphans removed"] if report.removed else []
    more = f" ({'; '.join(notes)})" if notes else ""
    return f"{report.studies} studies, {report.contents} files, {report.bytes / 1e6:.1f} MB: {outcome}{more}."
