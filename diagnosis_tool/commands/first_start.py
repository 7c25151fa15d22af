"""What a server needs before it serves: a way in for somebody, and for nobody else."""

from diagnosis_tool.commands.environment import context_of
from diagnosis_tool.commands.links import own_address, told
from diagnosis_tool.errors import SettingsInvalid
from diagnosis_tool.services import accounts
from diagnosis_tool.settings import Settings
from diagnosis_tool.web.hosts import is_loopback

_HOW = (
    "HOST is %(host)s, so others on the network could reach this server. It does not start there until %(what)s. "
    "Set SECRET_KEY to at least 32 random letters (openssl rand -hex 32). For an administrator: start once with "
    "HOST=127.0.0.1 and open the link that is printed, or set SETUP_LINK=1, which prints the link and serves "
    "nothing else until it was used."
)


def prepare(settings: Settings) -> None:
    """Prints a one-time link while no administrator has a password. The database has been migrated.

    Raises SettingsInvalid where others could reach a server that nobody protects yet.
    """
    context = context_of(settings)
    is_set_up = context.users.has_admin()
    if not is_loopback(settings.host) and not settings.setup_link:
        lacking = [
            *(("SECRET_KEY is set",) if not settings.secret_key else ()),
            *(("an administrator has set a password",) if not is_set_up else ()),
        ]
        if lacking:
            raise SettingsInvalid(_HOW, host=settings.host, what=" and ".join(lacking))
    if not is_set_up:
        link = accounts.make_link(context, accounts.first_admin(context))
        print(told(link, own_address(settings)), flush=True)
        print(f"Lost it? diagnosis-tool users reset '{link.user.name}' makes a new one.", flush=True)
