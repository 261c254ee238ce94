"""Installs the system libraries that OpenCV, MediaPipe and bpy load on Linux, or prints how to.

Run first by `make`, with any Python.  Windows and macOS need nothing.
"""

from __future__ import annotations

import ctypes.util
import os
import shutil
import subprocess
import sys

# library name as ctypes finds it -> Debian package
LIBRARIES = {
    "GL": "libgl1",
    "EGL": "libegl1",
    "glib-2.0": "libglib2.0-0",
    "X11": "libx11-6",
    "Xrender": "libxrender1",
    "Xfixes": "libxfixes3",
    "Xi": "libxi6",
    "xkbcommon": "libxkbcommon0",
    "SM": "libsm6",
    "gomp": "libgomp1",
}


def main() -> int:
    if not sys.platform.startswith("linux"):
        return 0
    missing = [package for name, package in LIBRARIES.items() if ctypes.util.find_library(name) is None]
    if not missing:
        return 0
    command = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    if shutil.which("apt-get") and os.geteuid() == 0:
        print("Installing system libraries:", *missing)
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        return subprocess.run(command, check=False).returncode
    print("System libraries are missing. Install them, then run make again:", file=sys.stderr)
    print("  sudo", *command, file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
