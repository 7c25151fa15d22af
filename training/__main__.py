"""python -m training COMMAND: prepare, start-weights, train, calibrate, evaluate, release."""

import sys

from training.commands import main

sys.exit(main(sys.argv[1:]))
