"""Keeps OpenVINO off the network. Import this before openvino.

openvino reports its use as soon as it is imported, unasked, through a package of its own; without that package it
takes a stub of its own and goes on.
"""

import sys

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # how Python says: cannot be imported
