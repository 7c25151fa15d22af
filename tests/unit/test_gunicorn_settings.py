"""What gunicorn is started with: gunicorn takes the settings, stops in time, and forks with no library loaded."""

import subprocess
import sys
from pathlib import Path

import pytest
from gunicorn.app.wsgiapp import WSGIApplication

from diagnosis_tool import gunicorn_settings, supervise
from diagnosis_tool.front.backend import BESIDE_PAGES


def test_gunicorn_takes_every_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    command = supervise.web_command(listen=Path("/run/web"), threads=3)
    monkeypatch.setattr(sys, "argv", command[2:])
    settings = WSGIApplication("%(prog)s [OPTIONS] [APP_MODULE]").cfg
    ours = [name for name in vars(gunicorn_settings) if name.islower() and not name.startswith("_")]
    assert len(ours) > 12
    for name in ours:
        assert name in settings.settings, f"gunicorn knows no {name}"
    assert (settings.address, settings.workers) == (["/run/web"], 1)
    assert settings.threads == 3 + sum(BESIDE_PAGES.values())
    assert settings.secure_scheme_headers == {}  # gunicorn believes whoever comes by a socket's path
    assert settings.forwarder_headers == []
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
