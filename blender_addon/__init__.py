# SPDX-License-Identifier: GPL-3.0-or-later
"""Recover Mesh: the people in a photo as posable bodies in Blender.

Nothing is imported before `register`, so that the modules without bpy can be imported outside Blender.
"""


def register() -> None:
    from . import registration

    registration.register()


def unregister() -> None:
    from . import registration

    registration.unregister()
