"""Reports on runs and evaluations: figures (pure), charts, one self-contained page, CSV and JSON beside it."""
