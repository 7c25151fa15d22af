"""What is known about a model beyond one figure: each table by one command, from data and bundle or run alone."""
