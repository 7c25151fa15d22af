"""Settings from the environment, read once, frozen, all errors reported together."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from diagnosis_tool import resources
from diagnosis_tool.cxr.engine_choice import EngineChoice, EngineOptions, PrecisionChoice
from diagnosis_tool.errors import SettingsInvalid

_Choice = TypeVar("_Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What may differ between installations. See README.md for the environment's keys.

    data_dir: database, blobs and converted networks; created when missing. bundle: 'default', a name in models_dir, or
    a path. torch_threads: threads for one reading, whatever the engine; 0 is one a core.
    """

    data_dir: Path
    host: str
    port: int
    web_threads: int
    models_dir: Path
    bundle: str
    torch_threads: int
    engine: EngineChoice
    precision: PrecisionChoice

    @property
    def database_file(self) -> Path:
        """The SQLite file."""
        return self.data_dir / "diagnosis_tool.sqlite"

    @property
    def engine_options(self) -> EngineOptions:
        """What to read with; converted networks are kept in data_dir/engines, which may be removed at any time."""
        return EngineOptions(
            engine=self.engine,
            precision=self.precision,
            threads=self.torch_threads,
            cache_folder=self.data_dir / "engines",
        )

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> "Settings":
        """Reads DATA_DIR, HOST, PORT, WEB_THREADS, MODELS_DIR, BUNDLE, TORCH_THREADS, ENGINE and PRECISION.

        An empty value is as if unset. Raises SettingsInvalid naming every key that is wrong.
        """
        problems: list[str] = []

        def whole(key: str, default: int, low: int, high: int) -> int:
            text = env.get(key) or str(default)
            if text.isascii() and text.isdigit() and low <= int(text) <= high:
                return int(text)
            problems.append(f"{key} is {text!r}; it must be a whole number from {low} to {high}")
            return default

        def choice(key: str, kind: type[_Choice], default: _Choice) -> _Choice:
            text = env.get(key) or default.value
            if text in [member.value for member in kind]:
                return kind(text)
            problems.append(f"{key} is {text!r}; it must be one of {', '.join(kind)}")
            return default

        models_dir = Path(env.get("MODELS_DIR") or resources.models_dir())
        if not models_dir.is_dir():
            problems.append(f"MODELS_DIR is {str(models_dir)!r}, which is no folder")
        data_dir = Path(env.get("DATA_DIR") or "data").absolute()
        if data_dir.exists() and not data_dir.is_dir():
            problems.append(f"DATA_DIR is {str(data_dir)!r}, which is no folder")
        settings = cls(
            data_dir=data_dir,
            host=env.get("HOST") or "127.0.0.1",
            port=whole("PORT", 8000, 1, 65535),
            web_threads=whole("WEB_THREADS", 8, 1, 64),
            models_dir=models_dir,
            bundle=env.get("BUNDLE") or "default",
            torch_threads=whole("TORCH_THREADS", 0, 0, 256),
            engine=choice("ENGINE", EngineChoice, EngineChoice.AUTO),
            precision=choice("PRECISION", PrecisionChoice, PrecisionChoice.AUTO),
        )
        if problems:
            raise SettingsInvalid("Settings: " + "; ".join(problems) + ".")
        return settings
