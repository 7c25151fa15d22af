"""Values and state rules of studies, instances and jobs; no I/O."""
