from pathlib import Path

import pytest

from diagnosis_tool.cxr.engine_choice import EngineChoice, PrecisionChoice
from diagnosis_tool.domain.access import Role
from diagnosis_tool.domain.identity import Grant, LocalSignIn
from diagnosis_tool.errors import SettingsInvalid
from diagnosis_tool.settings import Settings


def test_defaults_need_nothing() -> None:
    settings = Settings.from_env({})
    assert (settings.host, settings.port, settings.bundle) == ("127.0.0.1", 8000, "default")


def test_all_bad_keys_are_reported_at_once(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    env = {"PORT": "eighty", "WEB_THREADS": "0", "MODELS_DIR": str(tmp_path / "none"), "DATA_DIR": str(file)}
    env |= {"ENGINE": "onnx", "PRECISION": "int8"}
    with pytest.raises(SettingsInvalid) as error:
        Settings.from_env(env)
    assert all(key in str(error.value) for key in env)


def test_the_engine_is_chosen_by_name(tmp_path: Path) -> None:
    assert Settings.from_env({}).engine_options(2).engine is EngineChoice.AUTO
    env = {"ENGINE": "openvino", "PRECISION": "f32", "TORCH_THREADS": "3", "DATA_DIR": str(tmp_path)}
    options = Settings.from_env(env).engine_options(2)
    assert (options.engine, options.precision, options.threads) == (EngineChoice.OPENVINO, PrecisionChoice.F32, 3)
    assert options.cache_folder == tmp_path / "engines"


@pytest.mark.parametrize(
    ("env", "cores", "threads"),
    [
        ({}, 8, 8),
        ({"WORKERS": "2"}, 8, 4),
        ({"WORKERS": "3"}, 8, 2),
        ({"WORKERS": "4"}, 2, 1),
        ({"WORKERS": "2", "TORCH_THREADS": "3"}, 8, 3),
    ],
)
def test_workers_share_the_cores(env: dict[str, str], cores: int, threads: int) -> None:
    assert Settings.from_env(env).threads_of_a_worker(cores) == threads


_OIDC = {"OIDC_ISSUER": "https://id.example/realm", "OIDC_CLIENT_ID": "tool"}


def test_a_provider_is_read_with_what_its_groups_may(tmp_path: Path) -> None:
    file = tmp_path / "groups.toml"
    file.write_text(
        '[groups."CN=Chest, OU=x"]\nrole = "admin"\nprojects = ["chest", "ward 7"]\n'
        '[groups.desk]\nrole = "viewer"\nprojects = ["desk", "chest"]\n'
    )
    settings = Settings.from_env({**_OIDC, "OIDC_CLIENT_SECRET": "hush", "OIDC_GROUPS": str(file)})
    provider = settings.identity_provider
    assert provider is not None
    assert (provider.name, provider.scope, provider.groups_claim) == ("id.example", "openid profile", "groups")
    assert provider.granted(["desk", "x"]) == Grant(role=Role.VIEWER, projects=("desk", "chest"))
    both = Grant(role=Role.ADMIN, projects=("chest", "ward 7", "desk"))
    assert provider.granted(["desk", "CN=Chest, OU=x"]) == both
    assert provider.granted(["x"]) is None
    assert "hush" not in repr(settings)
    assert settings.local_sign_in is LocalSignIn.ALL
    assert Settings.from_env({}).identity_provider is None


def test_all_that_is_wrong_with_a_provider_is_reported_at_once(tmp_path: Path) -> None:
    file = tmp_path / "groups.toml"
    file.write_text(
        'group = 1\n[groups]\na = 1\n[groups.b]\nrole = "king"\n'
        '[groups.c]\nrole = "viewer"\nprojects = [" x"]\ncolour = 1\n'
    )
    env = {"OIDC_ISSUER": "http://id.example", "OIDC_SCOPE": "profile", "OIDC_GROUPS": str(file), "LOCAL_SIGN_IN": "no"}
    said = refused({**env, "PORT": "x"})
    words = ["PORT", "OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_SCOPE", "LOCAL_SIGN_IN", "'group' is unknown",
             "group 'a' must", "role is 'king'", "group 'b': projects", "group 'c': projects",
             "'colour' is unknown"]  # fmt: skip
    assert [word for word in words if word not in said] == []
    for content in ("", "[groups]", "groups = 1", "no toml", b"\xff"):
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        assert "OIDC_GROUPS" in refused({**_OIDC, "OIDC_GROUPS": str(file)})
    assert "OIDC_GROUPS is missing" in refused(_OIDC)
    assert "cannot be read" in refused({**_OIDC, "OIDC_GROUPS": str(tmp_path)})
    assert "OIDC_CLIENT_ID is set, but OIDC_ISSUER is not" in refused({"OIDC_CLIENT_ID": "tool"})
    assert "no other way in" in refused({"LOCAL_SIGN_IN": "none"})


@pytest.mark.parametrize("issuer", ["id.example", "ftp://id.example", "https://id.example/?x", "https://[", "https://"])
def test_a_provider_needs_an_address_that_nobody_listens_to(issuer: str) -> None:
    assert "OIDC_ISSUER is" in refused({**_OIDC, "OIDC_ISSUER": issuer})


def refused(env: dict[str, str]) -> str:
    with pytest.raises(SettingsInvalid) as error:
        Settings.from_env(env)
    return str(error.value)
