# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender operators: one file per button of the panel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from bpy.types import Context
    from bpy.types import Operator as Mixin
else:
    Mixin = object

OperatorResult = set[Literal["RUNNING_MODAL", "CANCELLED", "FINISHED", "PASS_THROUGH", "INTERFACE"]]


class Guarded(Mixin):
    """Mix in before `bpy.types.Operator`; a subclass says in `blocked_reason` when its button is disabled."""

    @classmethod
    def blocked_reason(cls, context: Context) -> str:
        """Why the operator cannot run; empty if it can."""
        raise NotImplementedError

    @classmethod
    def poll(cls, context: Context) -> bool:
        reason = cls.blocked_reason(context)
        if reason:
            cls.poll_message_set(reason)
        return not reason
