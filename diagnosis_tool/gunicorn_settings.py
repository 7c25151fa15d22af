"""gunicorn's settings, each with its reason; supervise.web_command adds the address and the number of threads.

How large a request may be is not gunicorn's to say: web/uploads.py stops a body at MAX_BODY_BYTES for uploads and at
1 MB for everything else, while it streams.
"""

from pathlib import Path

from diagnosis_tool.logs import configure_from_env as _configure

worker_class = "gthread"
"""Waiting clients (slow uploads, polls) cost a thread each, not a process."""

workers = 1
"""SQLite has one writer anyway; rate limits are then the whole server's; and what a crash left of uploads is swept at
the start, which another process's running uploads would not survive. More readings at once are more workers of ours
(WORKERS), which are no part of gunicorn."""

preload_app = False
"""The app is made after the fork: no thread, no database connection and no library is inherited. torch is never loaded
here at all (import-linter's contract no-torch-in-web; tests/unit/test_gunicorn_settings.py)."""

timeout = 120
"""With threads this bounds a process that hangs as a whole, not a request: a 2 GB upload over a slow line may take
longer."""

graceful_timeout = 7
"""After SIGTERM, seconds for requests that run. Below the 9 s that the supervisor waits and the 10 s after which
`docker stop` kills. An upload that needs longer is cut off unanswered, and nothing of it stays."""

keepalive = 15
"""A page polls every second or two; a new connection each time would cost more. A proxy keeps its own the longer."""

worker_connections = 500
"""Connections at once, waiting ones included: each costs a file descriptor, and 1024 is a common limit."""

limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190
"""Longest line (the worklist's filters are long), most headers, longest header: gunicorn's own but for the number of
headers. They bound what a client can make us hold before the app sees the request."""

forwarded_allow_ips = ""
"""Nobody's X-Forwarded-Proto is believed here. Whether a proxy is trusted is the app's setting, in one place."""

control_socket_disable = True
"""It would be written below the home folder, which a read-only root has not got; nothing here talks to it."""

worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  no name of ours: made by mkstemp
"""The heartbeat's file, in memory: on a disk, a stalled write would look like a process that hangs."""

accesslog = None
"""The app itself logs requests; gunicorn's lines would hold addresses and queries."""

errorlog = "-"
"""Standard error, where containers are read."""


def on_starting(_server: object) -> None:
    """gunicorn's own lines are written as all others of ours."""
    _configure()


proc_name = "diagnosis-tool-web"
