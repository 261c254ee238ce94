# SPDX-License-Identifier: GPL-3.0-or-later
"""Recover Mesh: the people in a photo as posable bodies in Blender.

Nothing is imported here before `register`: the modules without bpy can be used outside Blender too.
"""


def register() -> None:
    from . import registration

    registration.register()


def unregister() -> None:
    from . import registration

    registration.unregister()
