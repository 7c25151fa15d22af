"""A training run as a TOML file; the frozen values it is read into."""
