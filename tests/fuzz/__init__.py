"""Inputs that nobody wrote by hand: what each target promises holds for all of them (tests/fuzz/running.py)."""
