# SPDX-License-Identifier: GPL-3.0-or-later
"""Text with line breaks in a layout, whose labels have one line."""

from __future__ import annotations

import textwrap

import bpy


def draw_wrapped(layout: bpy.types.UILayout, text: str, icon: str, width_px: int) -> None:
    """Draw `text` in as many labels as `width_px` needs."""
    scale = bpy.context.preferences.system.ui_scale
    columns = max(20, int((width_px / scale - 50) / 6.5))  # a character of the default font is about 6.5 px wide
    column = layout.column(align=True)
    first = True
    for paragraph in text.splitlines():
        for line in textwrap.wrap(paragraph, columns) or [""]:
            column.label(text=line, icon=icon if first or icon == "NONE" else "BLANK1")  # type: ignore[arg-type]
            first = False
