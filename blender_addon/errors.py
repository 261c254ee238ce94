# SPDX-License-Identifier: GPL-3.0-or-later
"""The error that reaches the artist."""

from __future__ import annotations


class UserError(Exception):
    """A failure in words: `message`, what happened and what was expected, and `hint`, what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()
