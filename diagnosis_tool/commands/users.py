"""`diagnosis-tool users`: accounts, for who runs the server."""

import argparse

from diagnosis_tool.commands.environment import existing_context, settings_with
from diagnosis_tool.commands.links import own_address, told
from diagnosis_tool.domain.access import ALL_PROJECTS, Role, User
from diagnosis_tool.domain.audit import Action
from diagnosis_tool.errors import NotFound
from diagnosis_tool.services import accounts
from diagnosis_tool.services.audit import changing
from diagnosis_tool.services.context import Context


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Registers `users add`, `change`, `disable`, `enable`, `totp-off`, `reset` and `list`."""
    parser = commands.add_parser("users", help="accounts: who may sign in, as what, and whose studies they see")
    kinds = parser.add_subparsers(required=True, metavar="WHAT")

    new = _named(kinds.add_parser("add", help="a new account; prints the link that leads in once"))
    new.add_argument("--role", required=True, choices=list(Role), type=Role)
    _add_projects(new, "a project whose studies they see (again for more: each upload says which); default: default")
    _add_url(new)
    new.set_defaults(command=_add)

    change = _named(kinds.add_parser("change", help="another role, or other projects"))
    change.add_argument("--role", choices=list(Role), type=Role)
    _add_projects(change, "instead of their present ones (again for more)")
    change.set_defaults(command=_change)

    for name, command, text in (
        ("disable", _disable, "signs them out at once and ends their tokens; the password leads in no more"),
        ("enable", _enable, "undoes disable; the tokens stay ended"),
    ):
        _named(kinds.add_parser(name, help=text)).set_defaults(command=command)

    off = kinds.add_parser("totp-off", help="switches a person's second factor off, who lost app and recovery codes")
    _named(off).set_defaults(command=_totp_off)

    reset = _named(
        kinds.add_parser("reset", help="prints a new link for who lost password or link; ends their API tokens")
    )
    _add_url(reset)
    reset.set_defaults(command=_reset)
    kinds.add_parser("list", help="all accounts").set_defaults(command=_list)


def _named(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("name", metavar="NAME")
    return parser


def _add_projects(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--project", action="append", metavar="P", help=text)


def _add_url(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", help="the server's address as they reach it; default: by HOST and PORT")


def _add(options: argparse.Namespace) -> int:
    existing = existing_context()
    with changing(existing, Action.USER) as context:
        user = accounts.add_user(context, options.name, options.role, options.project or (accounts.DEFAULT_PROJECT,))
    return _tell_link(existing, user, options.url)


def _change(options: argparse.Namespace) -> int:
    with changing(existing_context(), Action.USER) as context:
        changed = accounts.change_user(context, _user(context, options), role=options.role, projects=options.project)
    print(_line(changed))
    return 0


def _disable(options: argparse.Namespace) -> int:
    with changing(existing_context(), Action.USER) as context:
        context.users.disable(_user(context, options).id, row=context.row)
    return _tell(context, options)


def _enable(options: argparse.Namespace) -> int:
    with changing(existing_context(), Action.USER) as context:
        context.users.enable(_user(context, options).id, row=context.row)
    return _tell(context, options)


def _totp_off(options: argparse.Namespace) -> int:
    with changing(existing_context(), Action.USER) as context:
        user = _user(context, options)
        if context.second_factors.of(user.id) is None:
            raise NotFound("%(name)s has no second factor.", name=user.name)
        context.second_factors.remove(user.id, row=context.row)
    return _tell(context, options)


def _reset(options: argparse.Namespace) -> int:
    with changing(existing_context(), Action.USER) as context:
        return _tell_link(context, _user(context, options), options.url)


def _list(_: argparse.Namespace) -> int:
    context = existing_context()
    for user in context.users.all(ALL_PROJECTS):
        factor = context.second_factors.of(user.id)
        print(_line(user) + ("; second factor" if factor is not None and factor.is_on else ""))
    return 0


def _user(context: Context, options: argparse.Namespace) -> User:
    return context.users.named(options.name)


def _tell(context: Context, options: argparse.Namespace) -> int:
    print(_line(_user(context, options)))
    return 0


def _tell_link(context: Context, user: User, url: str | None) -> int:
    print(told(accounts.make_link(context, user), url.rstrip("/") if url else own_address(settings_with())))
    return 0


def _line(user: User) -> str:
    way_in = f"signs in at {user.issuer}" if user.issuer else "has no password yet"
    state = "disabled" if user.is_disabled else "may sign in" if user.can_sign_in else way_in
    return f"{user.name}: {user.role}, {state}; projects: {', '.join(p.name for p in user.projects) or 'none'}"
