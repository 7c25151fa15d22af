"""`make bench`: measures every claim but the long ones; `make bench-long` all; `python -m benchmarks NAME…` some."""

import argparse
import sys
from importlib import import_module
from pathlib import Path


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
    for name in options.names or known:
        module = import_module(f"benchmarks.bench_{name}")
        if name in options.names or options.long or not getattr(module, "LONG", False):
            module.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
