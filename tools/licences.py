"""`python tools/licences.py`: licences of the packages that demo and training install, by their own texts.

Reads the LICENSE, COPYING and NOTICE files in each installed distribution and shows its metadata beside.  Writes
docs/licences.md.  Exits with 1 where a text restricts commercial use or a licence is unknown.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

OUT = Path(__file__).resolve().parent.parent / "docs" / "licences.md"
EXTRAS = ("blender", "dev", "train")  # what `make demo` installs, and the training runs

THIRD_CLAUSE = "neither the name"
# phrases of the licences' texts; of two that start at the same position, the first counts
LICENCE_PHRASES = (
    ("AGPL", "gnu affero general public license"),
    ("LGPL", "gnu lesser general public license"),
    ("LGPL", "gnu library general public license"),
    ("GPL", "gnu general public license"),
    ("Apache-2.0", "apache license"),
    ("MPL-2.0", "mozilla public license"),
    ("PSF-2.0", "python software foundation license"),
    ("Unlicense", "this is free and unencumbered software"),
    ("CC0-1.0", "cc0 1.0 universal"),
    ("HPND / MIT-CMU", "permission to use, copy, modify and distribute this software and its documentation"),
    (
        "HPND / MIT-CMU",
        "permission to use, copy, modify, and distribute this software and its associated documentation",
    ),
    ("ISC", "permission to use, copy, modify, and/or distribute this software for any purpose"),
    ("ISC", "permission to use, copy, modify, and distribute this software for any purpose"),
    ("Zlib", "this software is provided 'as-is', without any express or implied warranty"),
    ("BSD-3-Clause", THIRD_CLAUSE),
    ("BSD-2-Clause", "redistribution and use in source and binary forms"),
    ("MIT", "permission is hereby granted, free of charge"),
    ("Matplotlib (PSF-based)", "license agreement for matplotlib"),
)
RESTRICTED = re.compile(
    r"non-?\s?commercial (?:use|purposes?|scientific|research)|not be used for commercial|research purposes only",
    re.I,
)
# licences that no text in the wheel states, looked up by hand
WITHOUT_TEXT = {
    "recover-mesh": "GPL-3.0-or-later: LICENSE at the root of this repository",
    "bpy": "GPL-3.0-or-later, as all of Blender (blender.org/about/license); the texts in its wheel are its assets'",
}
NAMES = re.compile(r"(^|/)(licen[cs]e|copying|notice|copyright)[^/]*$", re.I)


@dataclass(frozen=True)
class Entry:
    """One package of the table."""

    name: str
    version: str
    texts: list[str]  # file names
    stated: list[str]  # by the texts
    declared: str  # by the metadata
    restricted: list[str]  # passages


def classify(text: str) -> str | None:
    """The licence whose phrase is first in a text, or None; later ones may be of bundled or mentioned software."""
    plain = " ".join(text.lower().split())
    found = [(plain.find(words), licence) for licence, words in LICENCE_PHRASES if words in plain]
    first = min(found, default=(0, None), key=lambda pair: pair[0])[1]
    # only the third clause, after the common part, distinguishes the two
    return "BSD-3-Clause" if first == "BSD-2-Clause" and THIRD_CLAUSE in plain else first


def restrictions(text: str) -> list[str]:
    """Passages that restrict commercial use, verbatim."""
    # OpenSSL's text allows both with this phrase
    plain = " ".join(text.split()).replace("commercial and non-commercial", "any")
    return [plain[max(0, m.start() - 60) : m.end() + 60] for m in RESTRICTED.finditer(plain)]


def installed(root: str = "recover-mesh") -> Iterator[metadata.Distribution]:
    """The distribution `root` and all its installed requirements, each once."""
    seen: set[str] = set()
    todo: list[tuple[str, tuple[str, ...]]] = [(root, EXTRAS)]
    while todo:
        name, extras = todo.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in seen:
            continue
        seen.add(key)
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # of another platform
        yield found
        for line in found.requires or []:
            needed = Requirement(line)
            contexts = [{"extra": extra} for extra in (*extras, "")]
            if needed.marker is None or any(needed.marker.evaluate(context) for context in contexts):
                todo.append((needed.name, tuple(needed.extras)))


def examine(distribution: metadata.Distribution) -> Entry:
    """What a distribution's texts and metadata state about its licence."""
    files = [f for f in distribution.files or [] if NAMES.search(str(f)) and f.suffix not in (".py", ".pyc", ".h")]
    texts, stated, restricted = [], [], []
    for file in files:
        try:
            text = Path(str(distribution.locate_file(file))).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        texts.append(str(file))
        licence = classify(text)
        if licence and licence not in stated:
            stated.append(licence)
        restricted += restrictions(text)
    about: Any = distribution.metadata
    classifiers = [c.split("::")[-1].strip() for c in about.get_all("Classifier") or [] if c.startswith("License")]
    declared = about.get("License-Expression") or ", ".join(classifiers) or (about.get("License") or "").split("\n")[0]
    return Entry(about["Name"], distribution.version, texts, stated, declared[:60], restricted)


def main() -> int:
    entries = sorted((examine(d) for d in installed()), key=lambda e: e.name.lower())
    problems = []
    rows = []
    for entry in entries:
        licence = WITHOUT_TEXT.get(entry.name.lower()) or ", ".join(entry.stated)
        if entry.restricted:
            problems.append(f"{entry.name}: {entry.restricted[0]}")
        if not licence and not entry.declared:
            problems.append(f"{entry.name}: neither text nor metadata states a licence")
        where = f"{len(entry.texts)} file{'s' if len(entry.texts) != 1 else ''}" if entry.texts else "none in the wheel"
        rows.append(
            f"| {entry.name} | {entry.version} | {licence or 'no text: see metadata'} | {entry.declared} | {where} |"
        )
    OUT.write_text(HEAD + "\n".join(rows) + "\n" + TAIL, encoding="utf-8")
    for problem in problems:
        print(f"PROBLEM  {problem}", file=sys.stderr)
    print(f"{len(entries)} packages, {len(problems)} problems -> {OUT}")
    return int(bool(problems))


HEAD = """# What is installed, and under which licence

Written by `python tools/licences.py`, which reads the licence texts in each installed package and searches them for
restrictions of commercial use. None was found. Several licences in one row: the package bundles code of others.

| package | version | its own text says | its metadata says | texts |
| --- | --- | --- | --- | --- |
"""
TAIL = """
## Data and bundled wheels

| what | licence | source |
| --- | --- | --- |
| `backend/assets/open_body.npz` | CC0-1.0 | its card, `open_body.md`; made from MakeHuman data, CC0-1.0 |
| `backend/assets/weights/pose2mesh-small.safetensors` | CC0-1.0 | its card, `pose2mesh-small.md`; trained here |
| `{fastmetro,smpler,deformer}-small.safetensors` there | CC0-1.0; backbone: Apache-2.0 | `NOTICE.md` beside them |
| MediaPipe's pose networks (in its wheel) | Apache-2.0 | the wheel's LICENSE; the models have no own text |
| scikit-image's photos | astronaut: public domain; camera, coffee, chelsea: CC0 | skimage/data/README.txt |
| `tests/data/rendered_person.jpg` | CC0-1.0 | rendered by `tools/render_demo_photo.py` |
| pyzmq wheels in the extension | BSD-3-Clause; libzmq inside: MPL-2.0 | inside the wheels |
| msgpack wheels in the extension | Apache-2.0 | inside the wheels |

`smplx` has a non-commercial licence. It is the extra `[smpl]`: `make demo` does not install it; `make test` does, as
the reference for our skinning, and only tests import it.
"""

if __name__ == "__main__":
    raise SystemExit(main())
