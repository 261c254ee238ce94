"""The one pipeline: photo -> people -> bodies.  Server, command line and tests all run this."""

from __future__ import annotations

import time
from collections.abc import Callable

from backend.device import resolve_device
from backend.errors import BadInput
from backend.media import encode_png, load_image
from backend.models.registry import DEFAULT_MODEL, get_model
from backend.people.mediapipe_detector import MediaPipeDetector
from backend.people.person import PersonDetector
from backend.protocol import MAX_PEOPLE
from backend.results import Camera, FrameResult

# Without EXIF the focal length is unknown; a phone's main camera sees about 45 degrees across the long side
DEFAULT_FOCAL_PER_LONG_SIDE = 1.2


def people_limit(people: str) -> int | None:
    """`all` -> None, `largest` -> 1, `N` -> N.  Raises BadInput `bad_people`."""
    if people == "all":
        return None
    if people == "largest":
        return 1
    if people.isdecimal() and 1 <= int(people) <= MAX_PEOPLE:
        return int(people)
    raise BadInput(
        "bad_people",
        f"People cannot be {people!r}.",
        f"Use all, largest, or a number from 1 to {MAX_PEOPLE}.",
    )


class Recoverer:
    """Holds a loaded model and detector; `recover` takes one picture at a time.  Not thread-safe."""

    def __init__(
        self, model: str = DEFAULT_MODEL, device: str = "auto", detector: PersonDetector | None = None
    ) -> None:
        spec = get_model(model)
        if not spec.ready:
            raise BadInput("model_not_ready", f"The model {model} cannot run yet.", spec.hint)
        self.device = resolve_device(device)
        self.model = spec.load(self.device)
        self.detector = detector if detector is not None else MediaPipeDetector()

    def recover(
        self,
        source: str | bytes,
        *,
        index: int = 0,
        people: str = "all",
        focal_px: float = 0.0,
        on_stage: Callable[[str], None] | None = None,
    ) -> FrameResult:
        """Recover the people in one picture.

        source: path of an image file, or its encoded bytes.  people: see `people_limit`.  focal_px: focal length in
        pixels of the upright image; 0 takes EXIF's, else 1.2 times the long side.  on_stage: called with `decode`,
        `detect`, `fit` as each begins; an exception it raises ends the work.  Raises BadInput for unusable files.
        """
        limit = people_limit(people)
        seconds: dict[str, float] = {}

        def begin(stage: str) -> float:
            if on_stage is not None:
                on_stage(stage)
            return time.perf_counter()

        start = begin("decode")
        image = load_image(source)
        height, width = image.pixels.shape[:2]
        focal = focal_px or image.focal_px or DEFAULT_FOCAL_PER_LONG_SIDE * max(width, height)
        camera = Camera(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)
        seconds["decode"] = time.perf_counter() - start

        start = begin("detect")
        detected = self.detector.detect(image.pixels, limit)[:limit]
        seconds["detect"] = time.perf_counter() - start

        start = begin("fit")
        recovered = self.model.recover(image.pixels, detected, camera)
        seconds["fit"] = time.perf_counter() - start

        return FrameResult(
            source=source if isinstance(source, str) else "",
            index=index,
            camera=camera,
            people=recovered,
            model=self.model.spec.name,
            body=self.model.body.name,
            license=self.model.spec.license,
            seconds=seconds,
            pixels=image.pixels,
            picture=encode_png(image.pixels) if image.differs else None,
        )
