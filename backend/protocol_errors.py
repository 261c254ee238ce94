"""The base of every error that users read; the backend and the add-on share it.

This file runs inside Blender too: standard library only.
"""

from __future__ import annotations


class ExplainedError(Exception):
    """An error that a user can act on.

    `code`: stable word for programs, sent in the protocol's `error` message; may be empty.  `message`: what happened
    and what was expected.  `hint`: what to do next.
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()
