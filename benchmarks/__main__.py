"""`make bench`: measures every claim but the long ones; `make bench-long` all; `python -m benchmarks NAME…` some.

A claim that cannot be measured here takes no other with it: '<name>: not measured: why' is printed, and the next one
is measured. The exit code is 1 when one went wrong in a way that nobody foresaw.
"""

import argparse
import sys
import traceback
from importlib import import_module
from pathlib import Path

from benchmarks.record import not_measured
from testing.browser import NoBrowser


def main(arguments: list[str]) -> int:
    """Runs benchmarks/bench_<name>.py's run() for each name; a module that says LONG = True only when asked for."""
    known = sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}")
    parser.add_argument("--long", action="store_true", help="also those that take long")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(known))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; known: {', '.join(known)}")
    asked = [_measured(name, long=options.long or name in options.names) for name in options.names or known]
    return 0 if all(asked) else 1


def _measured(name: str, *, long: bool) -> bool:
    """Runs one benchmark, or says why not; False when it went wrong."""
    try:
        module = import_module(f"benchmarks.bench_{name}")
        if long or not getattr(module, "LONG", False):
            module.run()
    except Exception as error:  # noqa: BLE001  the others are measured all the same
        if _is_missing(error):
            not_measured(name, str(error))
            return True
        traceback.print_exc()
        not_measured(name, f"it went wrong ({type(error).__name__}, see above)")
        return False
    return True


def _is_missing(error: Exception) -> bool:
    """Something is not on this machine; what we cannot import of our own is a mistake."""
    if isinstance(error, ImportError):
        return str(error.name).partition(".")[0] not in {"benchmarks", "diagnosis_tool", "testing", "tests", "training"}
    return isinstance(error, NoBrowser)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
