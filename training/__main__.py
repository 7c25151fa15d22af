"""python -m training COMMAND; see training.commands."""

import sys

from training.commands import main

sys.exit(main(sys.argv[1:]))
