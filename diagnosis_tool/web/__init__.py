"""Flask blueprints: worklist and upload, study pages, pictures, health; and the one place that maps errors to HTTP."""
