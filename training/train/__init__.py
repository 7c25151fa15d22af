"""The training loop and all that a run is made of; what it leaves on disk; runs made of runs."""
