"""What the running app carries for its views."""

from typing import Final

from flask import Flask, current_app

from diagnosis_tool.services.context import Context

_KEY: Final = "diagnosis_tool.context"


def attach_context(app: Flask, context: Context) -> None:
    """Makes the context reachable from the app's views."""
    app.extensions[_KEY] = context


def current_context() -> Context:
    """The context of the app that serves this request."""
    context: Context = current_app.extensions[_KEY]
    return context
