"""The process that takes the public port: no slow client ever holds one of gunicorn's threads (ADR 11)."""
