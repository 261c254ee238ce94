# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artist sees: bodies, armatures, cameras, built from arrays."""
