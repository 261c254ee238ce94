# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON files for the backend, written atomically."""

from __future__ import annotations

import json
import os
from typing import Any

from ..errors import UserError


def write(path: str, content: dict[str, Any], name: str) -> None:
    """Write `content` to `path`, whose folder is created.  name: of the file, for the error.  Raises UserError."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".part", "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1, ensure_ascii=False)
        os.replace(path + ".part", path)
    except OSError as error:
        raise UserError(
            f"The {name} {path} cannot be written ({error.strerror or error}).",
            "Save the .blend in a folder that you may write to.",
        ) from None
