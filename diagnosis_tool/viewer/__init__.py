"""The mounted Dash app: the detail view and the charts. Its callbacks only read."""
