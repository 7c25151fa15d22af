"""gunicorn's settings, each with its reason; supervise.web_command adds the address and the number of threads.

It talks to the front alone (diagnosis_tool.front), over a socket that nobody else can open, and gets each request when
all of it is there. How large a request may be is not gunicorn's to say: web/uploads.py stops a body at MAX_BODY_BYTES
for uploads and at 1 MB for everything else.
"""

from pathlib import Path
from sys import setswitchinterval as _setswitchinterval

from diagnosis_tool.logs import configure_from_env as _configure

worker_class = "gthread"
"""Requests that wait for the disk or the database cost a thread each, not a process. None waits for its client."""

workers = 1
"""SQLite has one writer anyway; rate limits are then the whole server's; and what a crash left of uploads is swept at
the start, which another process's running uploads would not survive. More readings at once are more workers of ours
(WORKERS), which are no part of gunicorn."""

preload_app = False
"""The app is made after the fork: no thread, no database connection and no library is inherited. torch is never loaded
here at all (import-linter's contract no-torch-in-web; tests/unit/test_gunicorn_settings.py)."""

timeout = 120
"""With threads this bounds a process that hangs as a whole, not a request and no connection: clients' deadlines are
the front's (front/pace.py)."""

graceful_timeout = 7
"""After SIGTERM, seconds for requests that run. Below the 9 s that the supervisor waits and the 10 s after which
`docker stop` kills. It comes when the front has ended, which waits for what runs: there is little left by then."""

keepalive = 15
"""The front uses a connection again for 10 s (front/backend.py), so it never finds one that was closed just now."""

worker_connections = 500
"""Connections at once, waiting ones included. The front opens few; how many clients it has is its own to bound."""

limit_request_line = 4094
limit_request_fields = 70
limit_request_field_size = 8190
"""Longest line (the worklist's filters are long), most headers, longest header: gunicorn's own but for the number of
headers: 64 and the front's. They bound what a client can make us hold before the app sees the request."""

forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
"""Nobody's X-Forwarded-Proto or SCRIPT_NAME is believed here, though gunicorn trusts whoever comes by a socket's path.
Whether a proxy is trusted is the app's setting, in one place."""

control_socket_disable = True
"""It would be written below the home folder, which a read-only root has not got; nothing here talks to it."""

worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  no name of ours: made by mkstemp
"""The heartbeat's file, in memory: on a disk, a stalled write would look like a process that hangs."""

accesslog = None
"""The app itself logs requests; gunicorn's lines would hold addresses and queries."""

errorlog = "-"
"""Standard error, where containers are read."""


_SWITCH_S = 0.001
"""Instead of the interpreter's 5 ms. Each statement of a page lets the interpreter go, and gets it back only so much
later from a thread that takes an upload apart."""


def on_starting(_server: object) -> None:
    """gunicorn's own lines are written as all others of ours."""
    _configure()


def post_worker_init(_worker: object) -> None:
    """Pages come in between uploads."""
    _setswitchinterval(_SWITCH_S)


proc_name = "diagnosis-tool-web"
