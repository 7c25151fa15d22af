"""How commands tell one-time links."""

from diagnosis_tool import supervise
from diagnosis_tool.services.accounts import Link
from diagnosis_tool.settings import Settings


def own_address(settings: Settings) -> str:
    """Where this machine's browser finds the server, without a slash at its end."""
    host = "localhost" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104
    return f"http://{supervise.authority(host, settings.port)}"


def told(link: Link, address: str) -> str:
    """The link for who is to open it. address: the server's, as they reach it."""
    return (
        f"{link.user.name} chooses a password and signs in, once, until {link.expires_at:%Y-%m-%d %H:%M} UTC, at\n"
        f"  {address}/sign-in/once/{link.secret}"
    )
