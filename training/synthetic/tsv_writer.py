"""Writes METRO's TSV files: a row per image, and the byte offsets of the rows."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

KINDS = ("img", "hw", "label")


class TsvWriter:
    """Writes `STEM.img.tsv`, `.hw.tsv`, `.label.tsv`, their `.lineidx`, `STEM.linelist.tsv` and `STEM.yaml`."""

    def __init__(self, folder: Path, stem: str, size: int) -> None:
        self._folder, self._stem, self._size = folder, stem, size
        self._files = {kind: (folder / f"{stem}.{kind}.tsv").open("wb") for kind in KINDS}
        self._offsets: dict[str, list[int]] = {kind: [] for kind in KINDS}

    def write(self, key: str, jpeg: bytes, label: dict[str, Any]) -> None:
        """Append one row to each file."""
        shape = [{"height": self._size, "width": self._size}]
        row = {
            "img": base64.b64encode(jpeg),
            "hw": json.dumps(shape).encode(),
            "label": json.dumps([label], separators=(",", ":")).encode(),
        }
        for kind, content in row.items():
            self._offsets[kind].append(self._files[kind].tell())
            self._files[kind].write(key.encode() + b"\t" + content + b"\n")

    def close(self) -> list[Path]:
        """Close the files, write offsets, line list and YAML; returns all paths."""
        paths = []
        for kind, file in self._files.items():
            file.close()
            paths.append(Path(file.name))
            paths.append(self._text(f"{kind}.lineidx", self._offsets[kind]))
        paths.append(self._text("linelist.tsv", range(len(self._offsets["img"]))))
        names = {kind: f"{self._stem}.{kind}.tsv" for kind in (*KINDS, "linelist")}
        yaml = self._folder / f"{self._stem}.yaml"
        yaml.write_text("".join(f"{kind}: {name}\n" for kind, name in names.items()))
        return [*paths, yaml]

    def _text(self, ending: str, numbers: Iterable[int]) -> Path:
        path = self._folder / f"{self._stem}.{ending}"
        path.write_text("".join(f"{n}\n" for n in numbers))
        return path
