# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences in a layout, which knows no line breaks."""

from __future__ import annotations

import textwrap

import bpy


def draw_wrapped(layout: bpy.types.UILayout, text: str, icon: str, width_px: int) -> None:
    """Draw `text` in as many labels as `width_px` needs."""
    scale = bpy.context.preferences.system.ui_scale
    columns = max(20, int((width_px / scale - 50) / 6.5))  # of the default font, about
    column = layout.column(align=True)
    first = True
    for paragraph in text.splitlines():
        for line in textwrap.wrap(paragraph, columns) or [""]:
            column.label(text=line, icon=icon if first or icon == "NONE" else "BLANK1")
            first = False
