"""The Dash app mounted at /viewer/, and the charts that the study page shares with it. Its callbacks only read."""
