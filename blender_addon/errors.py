# SPDX-License-Identifier: GPL-3.0-or-later
"""The error that the panel shows."""

from __future__ import annotations

from .protocol_errors import ExplainedError


class UserError(ExplainedError):
    """An error of the add-on that a user can act on.

    `message`: what happened and what was expected.  `hint`: what to do next.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__("", message, hint)
