"""What the front and the web process tell each other in headers. No client can send them: the front drops them."""

from typing import Final

PREFIX: Final = "x-front-"
KEY: Final = "X-Front-Key"
"""The secret of this start, which says that a request came through the front."""
PEER: Final = "X-Front-Peer"
"""The address that the client's connection came from."""
ASK: Final = "X-Front-Ask"
"""One of the questions below: the request is answered up to its view, and carries no body."""
LENGTH: Final = "X-Front-Length"
"""With a question: how long the body is that the client wants to send; absent where it does not say."""
KNOWN: Final = "X-Front-Known"
"""In answers: who asked is signed in."""
MOST: Final = "X-Front-Most"
"""With 'go on': the most bytes that a body may have there."""

MAY_COME: Final = "may-come"
"""May this request come, with its body? Answered by 204, or by the refusal itself, for the client."""
NO_ROOM: Final = "no-room"
"""Refuse this request because the disk is full."""

ENV_KEY: Final = "DIAGNOSIS_TOOL_FRONT_KEY"
"""The environment's key in which serve hands the secret to both."""

SMALL_BODY_BYTES: Final = 1 << 16
"""A body up to this length is received before anybody is asked; more than that nobody may send without a sign-in."""
