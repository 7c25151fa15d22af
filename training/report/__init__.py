"""Reports on runs and evaluations: metrics and charts (pure), one self-contained page, CSV and JSON beside it."""
