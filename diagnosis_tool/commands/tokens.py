"""`diagnosis-tool tokens`: API tokens, for scripts."""

import argparse
from datetime import timedelta

from diagnosis_tool.commands.environment import existing_context
from diagnosis_tool.domain.access import SCOPES, Permission
from diagnosis_tool.domain.audit import Action
from diagnosis_tool.services import accounts
from diagnosis_tool.services.audit import changing
from diagnosis_tool.storage.credentials import Token


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Registers `tokens add`, `list` and `revoke`."""
    parser = commands.add_parser("tokens", help="API tokens: what scripts send as 'Authorization: Bearer …'")
    kinds = parser.add_subparsers(required=True, metavar="WHAT")
    new = kinds.add_parser("add", help="a new token; it is printed once")
    new.add_argument("user", metavar="USER", help="whom it acts for")
    new.add_argument("name", metavar="NAME", help="what it is for, to know it again")
    new.add_argument(
        "--scope", action="append", required=True, choices=sorted(SCOPES), help="what it may do (again for more)"
    )
    new.add_argument("--days", type=int, default=accounts.TOKEN_DAYS, help="until it expires; default: %(default)s")
    new.set_defaults(command=_add)
    listed = kinds.add_parser("list", help="all tokens, or a user's, without what they are")
    listed.add_argument("user", metavar="USER", nargs="?")
    listed.set_defaults(command=_list)
    revoke = kinds.add_parser("revoke", help="makes a token worth nothing")
    revoke.add_argument("id", metavar="ID", type=int, help="as `tokens list` shows it")
    revoke.set_defaults(command=_revoke)


def _add(options: argparse.Namespace) -> int:
    with changing(existing_context(), Action.TOKEN) as context:
        user = context.users.named(options.user)
        scopes = {Permission(scope) for scope in options.scope}
        made = accounts.make_token(context, user, options.name, scopes, timedelta(days=options.days))
    print(made.secret)
    print(_line(made.token))
    return 0


def _list(options: argparse.Namespace) -> int:
    context = existing_context()
    user = context.users.named(options.user) if options.user else None
    for token in context.credentials.tokens(user.id if user else None):
        print(_line(token))
    return 0


def _revoke(options: argparse.Namespace) -> int:
    with changing(existing_context(), Action.TOKEN) as context:
        context.credentials.revoke(options.id, row=context.row)
    return 0


def _line(token: Token) -> str:
    state = "until" if token.is_valid else "not valid any more, was made until"
    scopes = ", ".join(sorted(token.scopes))
    return f"{token.id}: {token.name!r} of {token.user_name}, {scopes}, {state} {token.expires_at:%Y-%m-%d %H:%M} UTC"
