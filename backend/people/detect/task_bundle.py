"""MediaPipe's two pose networks, packed for its PoseLandmarker, which detects several people.

The wheel of mediapipe 0.10.21 has both networks for its old one-person API only.  The newer API takes a bundle: an
uncompressed zip of the same two files, each with metadata on the normalisation of its input.
"""

from __future__ import annotations

import hashlib
import zipfile
from importlib import metadata
from pathlib import Path

from backend.atomic import atomic_path
from backend.errors import RecoverMeshError
from backend.paths import cache_dir

VERSION = "0.10.21"
# name in the bundle, file in the wheel, mean and deviation that the network expects of 0..255 pixels
_NETWORKS = (
    ("pose_detector.tflite", "modules/pose_detection/pose_detection.tflite", 127.5, 127.5),
    ("pose_landmarks_detector.tflite", "modules/pose_landmark/pose_landmark_full.tflite", 0.0, 255.0),
)


def require_mediapipe() -> None:
    """Raise RecoverMeshError `mediapipe_missing` unless the wheel that contains the networks is installed."""
    hint = f'Run: python -m pip install "mediapipe=={VERSION}"'
    try:
        found = metadata.version("mediapipe")
    except metadata.PackageNotFoundError:
        raise RecoverMeshError("mediapipe_missing", "The package mediapipe is not installed.", hint) from None
    if found != VERSION:
        raise RecoverMeshError(
            "mediapipe_missing",
            f"mediapipe {found} is installed; {VERSION} is the last version that contains its own models.",
            hint,
        )


def pose_bundle() -> Path:
    """The path of the bundle; made in the cache folder at first use."""
    require_mediapipe()
    import mediapipe

    root = Path(mediapipe.__file__).parent
    contents = [(root / inside).read_bytes() for _, inside, _, _ in _NETWORKS]
    digest = hashlib.sha256(b"".join(contents)).hexdigest()[:16]
    bundle = cache_dir() / f"pose-{VERSION}-{digest}.task"
    if not bundle.exists():
        # another process may be doing the same
        with atomic_path(bundle) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            for (name, _, mean, deviation), content in zip(_NETWORKS, contents, strict=True):
                archive.writestr(name, _with_metadata(content, mean, deviation))
    return bundle


def _with_metadata(network: bytes, mean: float, deviation: float) -> bytes:
    from mediapipe.tasks.python.metadata.metadata_writers import metadata_writer

    writer = metadata_writer.MetadataWriter.create(bytearray(network))
    writer.add_general_info("pose", "pose")
    writer.add_image_input([mean], [deviation])
    content, _ = writer.populate()
    return bytes(content)
