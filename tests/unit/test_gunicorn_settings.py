"""What gunicorn is started with: gunicorn takes the settings, stops in time, and forks with no library loaded."""

import subprocess
import sys

import pytest
from gunicorn.app.wsgiapp import WSGIApplication

from diagnosis_tool import gunicorn_settings, supervise


def test_gunicorn_takes_every_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    command = supervise.web_command(host="127.0.0.1", port=8123, threads=3)
    monkeypatch.setattr(sys, "argv", command[2:])
    settings = WSGIApplication("%(prog)s [OPTIONS] [APP_MODULE]").cfg
    ours = [name for name in vars(gunicorn_settings) if name.islower() and not name.startswith("_")]
    assert len(ours) > 12
    for name in ours:
        assert name in settings.settings, f"gunicorn knows no {name}"
    assert (settings.address, settings.threads, settings.workers) == ([("127.0.0.1", 8123)], 3, 1)
    assert settings.control_socket_disable
    assert settings.accesslog is None
    assert list(settings.forwarded_allow_ips) == []
    assert not settings.preload_app


def test_it_stops_before_who_would_kill_it() -> None:
    assert gunicorn_settings.graceful_timeout < supervise._GRACE_S < 10


def test_no_model_library_is_loaded_before_the_fork() -> None:
    code = (
        "import sys\n"
        "import gunicorn.app.wsgiapp, gunicorn.workers.gthread\n"
        "import diagnosis_tool.gunicorn_settings\n"
        "print(sorted({'torch', 'openvino', 'numpy', 'flask', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
