"""Decoding in processes that may die: what a file does to its decoder, it does to nothing else."""
