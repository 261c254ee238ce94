# SPDX-License-Identifier: GPL-3.0-or-later
"""Bodies, armatures, cameras and actions in the scene, built from arrays."""
