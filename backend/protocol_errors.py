"""The base of every error that a person reads; the backend and the add-on share it.

This file runs inside Blender too: standard library only.
"""

from __future__ import annotations


class ExplainedError(Exception):
    """An error that a user can act on.

    `code` is a stable machine-readable word (it travels in the wire's `error` message; empty where no program asks for
    it), `message` says what happened and what was expected, `hint` says what to do next.
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()
