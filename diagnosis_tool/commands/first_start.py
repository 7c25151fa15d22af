"""What a server needs before it serves: a way in for somebody, and for nobody else."""

import time
from collections.abc import Callable

from diagnosis_tool import supervise
from diagnosis_tool.commands.environment import context_of
from diagnosis_tool.commands.links import own_address, told
from diagnosis_tool.domain.audit import Action
from diagnosis_tool.domain.identity import LocalSignIn
from diagnosis_tool.domain.jobs import WorkerState
from diagnosis_tool.errors import SettingsInvalid
from diagnosis_tool.services import accounts
from diagnosis_tool.services.accounts import Link
from diagnosis_tool.services.audit import changing
from diagnosis_tool.services.context import Context
from diagnosis_tool.services.health import readiness
from diagnosis_tool.settings import Settings
from diagnosis_tool.web.hosts import is_loopback

_HOW = (
    "HOST is %(host)s, so others on the network could reach this server. It does not start there until %(what)s. "
    "Set SECRET_KEY to at least 32 random letters (openssl rand -hex 32). For an administrator: start once with "
    "HOST=127.0.0.1 and open the link that is printed, or set SETUP_LINK=1, which prints the link and serves "
    "nothing else until it was used."
)


def prepare(settings: Settings) -> Callable[[], bool]:
    """Prints a one-time link while no administrator has a password. The database has been migrated.

    What is given is to be called again and again until it is True: once all workers read it prints the address, and
    the link unless it was used, so that they stand below the log of the start.

    Raises SettingsInvalid where others could reach a server that nobody protects yet.
    """
    context = context_of(settings)
    # where passwords lead in no more, the provider says who administers
    is_set_up = context.users.has_admin() or settings.local_sign_in is LocalSignIn.NONE
    if not is_loopback(settings.host) and not settings.setup_link:
        lacking = [
            *(("SECRET_KEY is set",) if not settings.secret_key else ()),
            *(("an administrator has set a password",) if not is_set_up else ()),
        ]
        if lacking:
            raise SettingsInvalid(_HOW, host=settings.host, what=" and ".join(lacking))
    link = None if is_set_up else _first_link(context)
    if link:
        print(told(link, own_address(settings)), flush=True)
        print(f"Lost it? diagnosis-tool users reset '{link.user.name}' makes a new one.", flush=True)

    began_s = time.monotonic()

    def once_ready() -> bool:
        workers = readiness(context).workers
        fresh = [worker for worker in workers if worker.age_s < time.monotonic() - began_s]  # not of the run before
        reading = [worker for worker in fresh if worker.state is WorkerState.READY]
        if len(reading) < settings.workers or not supervise.serves(settings.host, settings.port):
            return False
        print(f"Ready: {own_address(settings)}/", flush=True)
        if link and not context.users.has_admin():
            print(told(link, own_address(settings)), flush=True)
        return True

    return once_ready


def _first_link(context: Context) -> Link:
    with changing(context, Action.USER) as recorded:
        return accounts.make_link(recorded, accounts.first_admin(recorded))
