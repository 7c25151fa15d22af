"""From a run's validation logits to probabilities and operating points."""
