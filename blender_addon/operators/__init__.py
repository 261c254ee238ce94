# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender operators: one file per button of the panel."""

from typing import Literal

OperatorResult = set[Literal["RUNNING_MODAL", "CANCELLED", "FINISHED", "PASS_THROUGH", "INTERFACE"]]
