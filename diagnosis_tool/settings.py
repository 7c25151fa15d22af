"""Settings from the environment, read once, frozen, all errors reported together."""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

from diagnosis_tool import resources
from diagnosis_tool.cxr.engine_choice import EngineChoice, EngineOptions, PrecisionChoice
from diagnosis_tool.domain.identity import IdentityProvider, LocalSignIn
from diagnosis_tool.errors import SettingsInvalid
from diagnosis_tool.identity_settings import identity_provider
from diagnosis_tool.logs import LogFormat

_SHORTEST_KEY: Final = 32
_MOST_DIGITS: Final = 20
"""Python itself refuses to read numbers of thousands."""
_MOST_QUOTED: Final = 200
_Choice = TypeVar("_Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What may differ between installations. See README.md for the environment's keys.

    data_dir: database, blobs and converted networks; created when missing. bundle: 'default', a name in models_dir, or
    a path. workers: how many processes read. torch_threads: threads of each for one image, whatever the engine; 0
    shares the cores out evenly. secret_key: signs session cookies; empty for the one kept in data_dir.
    audit_key: chains the audit log's rows; likewise. trusted_proxies: how many stand before the server and say who
    asks. allowed_hosts: names that it answers to; empty for loopback's when bound there, else for any.
    session_idle, session_lifetime: after how long without a request a sign-in ends, and after how long anyway.
    setup_link: for containers: serves nothing but its health and a one-time link until that was used.
    identity_provider: where people may sign in besides; None for nowhere. local_sign_in: who may sign in by a password.
    quota_bytes: how much each user's uploads may take; None for no limit.
    """

    data_dir: Path
    host: str
    port: int
    web_threads: int
    models_dir: Path
    bundle: str
    workers: int
    torch_threads: int
    engine: EngineChoice
    precision: PrecisionChoice
    secret_key: str
    audit_key: str
    log_format: LogFormat
    quota_bytes: int | None
    trusted_proxies: int
    allowed_hosts: tuple[str, ...]
    session_idle: timedelta
    session_lifetime: timedelta
    setup_link: bool
    identity_provider: IdentityProvider | None
    local_sign_in: LocalSignIn

    @property
    def database_file(self) -> Path:
        """The SQLite file."""
        return self.data_dir / "diagnosis_tool.sqlite"

    def threads_of_a_worker(self, cores: int) -> int:
        """How many threads each worker reads with: together they never have more than there are cores.

        The one place that decides. More workers than cores get one thread each.
        """
        return self.torch_threads or max(1, cores // self.workers)

    def engine_options(self, cores: int) -> EngineOptions:
        """What each worker reads with; converted networks are kept in data_dir/engines, safe to remove."""
        return EngineOptions(
            engine=self.engine,
            precision=self.precision,
            threads=self.threads_of_a_worker(cores),
            cache_folder=self.data_dir / "engines",
        )

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> "Settings":
        """Reads the keys of README.md's table: DATA_DIR, HOST, PORT, BUNDLE, WORKERS, ENGINE and the others.

        An empty value is as if unset. Raises SettingsInvalid naming every key that is wrong.
        """
        problems: list[str] = []

        def whole(key: str, default: int, low: int, high: int) -> int:
            text = env.get(key) or str(default)
            if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS and low <= int(text) <= high:
                return int(text)
            problems.append(f"{key} is {_quoted(text)}; it must be a whole number from {low} to {high}")
            return default

        def choice(key: str, kind: type[_Choice], default: _Choice) -> _Choice:
            text = env.get(key) or default.value
            if text in [member.value for member in kind]:
                return kind(text)
            problems.append(f"{key} is {_quoted(text)}; it must be one of {', '.join(kind)}")
            return default

        def key(name: str) -> str:
            text = env.get(name) or ""
            if 0 < len(text) < _SHORTEST_KEY:
                problems.append(f"{name} has {len(text)} letters; it must have at least {_SHORTEST_KEY}")
            return text

        models_dir = Path(env.get("MODELS_DIR") or resources.models_dir())
        if _is_folder(models_dir) is not True:
            problems.append(f"MODELS_DIR is {_quoted(str(models_dir))}, which is no folder")
        data_dir = Path(env.get("DATA_DIR") or "data").absolute()
        if _is_folder(data_dir) is False:
            problems.append(f"DATA_DIR is {_quoted(str(data_dir))}, which is no folder")
        settings = cls(
            data_dir=data_dir,
            host=env.get("HOST") or "127.0.0.1",
            port=whole("PORT", 8000, 1, 65535),
            web_threads=whole("WEB_THREADS", 8, 1, 64),
            models_dir=models_dir,
            bundle=env.get("BUNDLE") or "default",
            workers=whole("WORKERS", 1, 1, 64),
            torch_threads=whole("TORCH_THREADS", 0, 0, 256),
            engine=choice("ENGINE", EngineChoice, EngineChoice.AUTO),
            precision=choice("PRECISION", PrecisionChoice, PrecisionChoice.AUTO),
            secret_key=key("SECRET_KEY"),
            audit_key=key("AUDIT_KEY"),
            trusted_proxies=whole("TRUSTED_PROXIES", 0, 0, 9),
            allowed_hosts=tuple(name.strip() for name in (env.get("ALLOWED_HOSTS") or "").split(",") if name.strip()),
            quota_bytes=whole("QUOTA_GB", 100, 0, 1_000_000) * 1_000_000_000 or None,
            log_format=choice("LOG_FORMAT", LogFormat, LogFormat.TEXT),
            session_idle=timedelta(minutes=whole("SESSION_IDLE_MINUTES", 480, 1, 1440)),
            setup_link=whole("SETUP_LINK", 0, 0, 1) == 1,
            identity_provider=identity_provider(env, problems),
            local_sign_in=choice("LOCAL_SIGN_IN", LocalSignIn, LocalSignIn.ALL),
            session_lifetime=timedelta(hours=whole("SESSION_HOURS", 24, 1, 168)),
        )
        if settings.identity_provider is None and settings.local_sign_in is not LocalSignIn.ALL:
            problems.append(
                f"LOCAL_SIGN_IN is {settings.local_sign_in.value!r}, but without OIDC_ISSUER there is no other way in"
            )
        if problems:
            raise SettingsInvalid("Settings: " + "; ".join(problems) + ".")
        return settings


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _MOST_QUOTED else f"{text[:_MOST_QUOTED]}…")


def _is_folder(path: Path) -> bool | None:
    """None where there is nothing, so that it could be made. Raises for no name, however odd."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        return None
    except (OSError, ValueError):  # too long, below a file, not ours to look at; a NUL in it
        return False
