"""Judges a bundle or a run on labelled images: predictions, metrics, localisation."""
