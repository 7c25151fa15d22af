"""From a calibrated run to a bundle that proves itself, with its card."""
