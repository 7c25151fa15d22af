"""The command `diagnosis-tool`."""

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from typing import Any

from diagnosis_tool import logs, resources, supervise
from diagnosis_tool.commands import audit, backup, export, first_start, tokens, users, web
from diagnosis_tool.commands.environment import settings_with
from diagnosis_tool.cxr.types import ModelIdentity
from diagnosis_tool.decoding.pool import Pool
from diagnosis_tool.errors import BundleInvalid, DiagnosisToolError
from diagnosis_tool.services.predict_file import PredictedFile, predict_file
from diagnosis_tool.services.wiring import migrate_database
from diagnosis_tool.storage.private import UMASK, keep_private

_OK, _SOME_REFUSED, _ERROR = 0, 2, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code. Errors for the user go to standard error, without a trace."""
    options = _parser().parse_args(arguments)
    logs.configure_from_env()
    command: Callable[[argparse.Namespace], int] = options.command
    mask = os.umask(UMASK)  # whatever a command writes is of patients
    try:
        return command(options)
    except DiagnosisToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return _ERROR
    finally:
        os.umask(mask)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="diagnosis-tool", description="Reads chest X-rays. Research use only, not a medical device."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser(
        "serve", help="migrate, then run web and worker (PORT, HOST, DATA_DIR from the environment)"
    )
    _add_workers(serve, "how many processes read (WORKERS)")
    serve.set_defaults(command=_serve)

    web.add(commands)

    migrate = commands.add_parser("migrate", help="create the database or bring it to the newest schema")
    migrate.set_defaults(command=_migrate)

    worker = commands.add_parser("worker", help="run one worker")
    worker.add_argument("--name", default="worker-1", help="a name no other worker of this database has")
    _add_workers(worker, "how many workers share this machine's cores, with this one (WORKERS)")
    worker.set_defaults(command=_worker)

    predict = commands.add_parser("predict", help="read files and print what the model says")
    predict.add_argument("files", nargs="+", metavar="FILE")
    predict.add_argument("--json", action="store_true", help="one JSON array, an object a file in input order")
    predict.add_argument("--bundle", help="'default', a released name or a folder")
    predict.set_defaults(command=_predict)

    export.add(commands)
    backup.add(commands)
    audit.add(commands)
    users.add(commands)
    tokens.add(commands)

    verify = commands.add_parser("verify-bundle", help="check a bundle's files and its golden outputs on this machine")
    verify.add_argument("bundle", nargs="?", help="'default', a released name or a folder")
    verify.set_defaults(command=_verify_bundle)
    return parser


def _add_workers(command: argparse.ArgumentParser, text: str) -> None:
    command.add_argument("--workers", help=text, metavar="N")


def _migrate(_: argparse.Namespace) -> int:
    settings = settings_with()
    keep_private(settings.data_dir)
    migrate_database(settings.database_file, resources.migrations_dir())
    return _OK


def _serve(options: argparse.Namespace) -> int:
    settings = settings_with(workers=options.workers)
    supervise.refuse_taken_address(settings.host, settings.port)
    _migrate(options)
    once_ready = first_start.prepare(settings)
    where = supervise.authority(settings.host, settings.port)
    print(f"diagnosis-tool serves http://{where}/ (data in {settings.data_dir})", flush=True)
    print("Research use only, not a medical device. Stop with Ctrl-C.", flush=True)
    with web.commands(settings) as commands:
        return supervise.supervise({**commands, **supervise.worker_commands(settings.workers)}, once_ready)


def _worker(options: argparse.Namespace) -> int:
    from diagnosis_tool.worker.wiring import run_worker  # loads torch: only in this process

    settings = settings_with(workers=options.workers)
    keep_private(settings.data_dir)
    return run_worker(settings, name=options.name)


def _predict(options: argparse.Namespace) -> int:
    from diagnosis_tool.worker.wiring import load  # loads torch: only where it is needed

    logging.getLogger().setLevel(logging.WARNING)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    predicted = []
    with Pool(warm=1) as decoder:  # its process starts while the model is loaded
        classifier = load(settings_with(bundle=options.bundle))
        for file in options.files:
            found = predict_file(classifier, decoder, file)
            predicted.append({**_as_json(found), **_identity(classifier.identity), "seconds": round(found.seconds, 4)})
    if options.json:
        json.dump(predicted, sys.stdout, indent=1)  # escaped: a file name need not fit the terminal's encoding
        print()
    else:
        _print_table(predicted)
    return _SOME_REFUSED if any(row["refused"] for row in predicted) else _OK


def _as_json(found: PredictedFile) -> dict[str, Any]:
    outputs = found.prediction.outputs if found.prediction else ()
    return {
        "file": found.file,
        "sha256": found.sha256,
        "findings": [{"finding": output.name, "probability": output.probability} for output in outputs],
        "top4": list(found.prediction.top) if found.prediction else [],
        "refused": found.refused,
        **({"notes": list(found.notes)} if found.notes else {}),
    }


def _identity(identity: ModelIdentity) -> dict[str, str]:
    return {"bundle": identity.bundle, "engine": identity.engine, "precision": identity.precision}


def _print_table(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if row["refused"]:
            print(f"{row['file']}: not read. {row['refused']}")
            continue
        best = sorted(row["findings"], key=lambda f: -f["probability"])
        print(f"{row['file']}: " + ", ".join(f"{f['finding']} {f['probability']:.2f}" for f in best))
        for note in row.get("notes", ()):
            print(f"{row['file']}: note: {note}")
    print("Research use only, not a medical device.", file=sys.stderr)


def _verify_bundle(options: argparse.Namespace) -> int:
    from diagnosis_tool.cxr.golden import verify_golden
    from diagnosis_tool.worker.wiring import load

    try:
        classifier = load(settings_with(bundle=options.bundle))
    except BundleInvalid as error:
        print(f"NOT VALID: {error}", file=sys.stderr)
        return _ERROR
    worst = verify_golden(classifier.bundle, classifier.engine)
    metadata = classifier.bundle.metadata
    identity = classifier.identity
    allowed = metadata.golden_tolerance(identity.engine, identity.precision)
    print(
        f"{identity.bundle} is valid: {len(metadata.outputs)} outputs, {len(metadata.golden.inputs)} golden inputs "
        f"reproduced by {identity.engine} {identity.precision} within {worst:.2g} (allowed {allowed:.2g}), "
        f"sha256 {classifier.bundle.sha256}"
    )
    return _OK


if __name__ == "__main__":
    sys.exit(main())
