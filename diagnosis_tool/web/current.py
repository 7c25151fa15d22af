"""What the running app carries for its views."""

from typing import Final

from flask import Flask, current_app, g

from diagnosis_tool.services.context import Context

_KEY: Final = "diagnosis_tool.context"


def attach_context(app: Flask, context: Context) -> None:
    """Makes the context reachable from the app's views."""
    app.extensions[_KEY] = context


def current_context() -> Context:
    """The context as who asks has it: bounded by their projects; without a sign-in there is no study at all."""
    return unbounded_context().within(g.get("projects", frozenset()))


def unbounded_context() -> Context:
    """The context of the app itself: for who asks, and for what is told of no study."""
    context: Context = current_app.extensions[_KEY]
    return context
