"""Reads chest X-rays: calibrated probabilities of findings with heatmaps. Research use, not a medical device."""
