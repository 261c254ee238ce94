"""MediaPipe's two pose networks one by one: the first finds people, the second reads one person's landmarks.

MediaPipe's own `PoseLandmarker` runs both on every picture, and the second for everybody in it.  In a clip it is known
where people should be: the first can be left out, and the second runs once for each.  The graphs are MediaPipe's, so
are the numbers that come out.
"""

from __future__ import annotations

import contextlib
import os
import sys
import zipfile
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from backend.people.detect.candidates import NOSE, TORSO, Candidate
from backend.people.detect.region import Region
from backend.people.detect.task_bundle import pose_bundle

POSES_PER_RUN = 6
_LANDMARKS = ("LANDMARKS:landmarks", "WORLD_LANDMARKS:world", "AUXILIARY_LANDMARKS:circle")
_SIDE = 320  # px: smaller parts are enlarged, the first network was trained on people of this size
_MIN_SIDE = 8  # px
_MIN_CONFIDENCE = 0.5  # of both networks, MediaPipe's default


class NetworkImage:
    """What the networks look at, handed over once.  pixels: uint8 RGB (H, W, 3)."""

    def __init__(self, pixels: np.ndarray) -> None:
        import mediapipe
        from mediapipe.python import packet_creator

        self.pixels = pixels
        self.height, self.width = pixels.shape[:2]
        image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(pixels))
        self.packet: Any = packet_creator.create_image(image)

    def rectangle(self, region: Region) -> Any:
        """As MediaPipe wants it: in shares of the picture."""
        from mediapipe.framework.formats import rect_pb2
        from mediapipe.python import packet_creator

        rectangle = rect_pb2.NormalizedRect(
            x_center=region.x / self.width,
            y_center=region.y / self.height,
            width=region.side / self.width,
            height=region.side / self.height,
            rotation=region.rotation,
        )
        return packet_creator.create_proto(rectangle)


class PersonFinder:
    """The first network.  Not thread-safe."""

    def __init__(self) -> None:
        from mediapipe.tasks.cc.vision.pose_detector.proto import pose_detector_graph_options_pb2

        options = pose_detector_graph_options_pb2.PoseDetectorGraphOptions()
        options.base_options.model_asset.file_content = _network("pose_detector.tflite")
        options.min_detection_confidence = _MIN_CONFIDENCE
        options.num_poses = POSES_PER_RUN
        graph = "mediapipe.tasks.vision.pose_detector.PoseDetectorGraph"
        self._runner = _runner(graph, options, ("IMAGE:image",), ("EXPANDED_POSE_RECTS:rects",))

    def close(self) -> None:
        self._runner.close()

    def find(self, network_image: NetworkImage, x: float, y: float, width: float, height: float) -> list[Region]:
        """Everybody in a part of the picture, px; it may reach over the picture's edges.

        The part is cut out: given as a rectangle, MediaPipe answers in shares of it, turned by the wrong aspect.
        """
        from mediapipe.python import packet_getter

        left, top = int(max(x, 0)), int(max(y, 0))
        part = network_image.pixels[top : int(max(y + height, 0)), left : int(max(x + width, 0))]
        if min(part.shape[:2]) < _MIN_SIDE:
            return []
        zoom = max(1.0, _SIDE / max(part.shape[:2]))
        if zoom > 1:
            part = cv2.resize(part, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_LINEAR)
        cut = NetworkImage(part)
        answer = self._runner.process({"image": cut.packet})
        if answer["rects"].is_empty():
            return []
        return [
            Region(
                r.x_center * cut.width / zoom + left,
                r.y_center * cut.height / zoom + top,
                r.width * cut.width / zoom,
                r.rotation,
            )
            for r in packet_getter.get_proto_list(answer["rects"])
        ]


class LandmarkReader:
    """The second network.  Not thread-safe."""

    def __init__(self) -> None:
        from mediapipe.tasks.cc.vision.pose_landmarker.proto import pose_landmarks_detector_graph_options_pb2

        options = pose_landmarks_detector_graph_options_pb2.PoseLandmarksDetectorGraphOptions()
        options.base_options.model_asset.file_content = _network("pose_landmarks_detector.tflite")
        options.min_detection_confidence = _MIN_CONFIDENCE
        graph = "mediapipe.tasks.vision.pose_landmarker.SinglePoseLandmarksDetectorGraph"
        self._runner = _runner(graph, options, ("IMAGE:image", "NORM_RECT:rect"), _LANDMARKS)

    def close(self) -> None:
        self._runner.close()

    def read(self, network_image: NetworkImage, region: Region) -> Candidate | None:
        """The person in a region; None where the network sees nobody."""
        from mediapipe.python import packet_getter

        answer = self._runner.process({"image": network_image.packet, "rect": network_image.rectangle(region)})
        if answer["landmarks"].is_empty() or answer["world"].is_empty():
            return None
        landmarks = packet_getter.get_proto(answer["landmarks"]).landmark
        world = packet_getter.get_proto(answer["world"]).landmark
        wide, high = network_image.width, network_image.height
        points = np.array([[p.x * wide, p.y * high, p.visibility] for p in landmarks])
        score = float(points[[NOSE, *TORSO], 2].mean())
        # MediaPipe's own: the middle of the circle around the person, and its top
        middle, top = ((p.x * wide, p.y * high) for p in packet_getter.get_proto(answer["circle"]).landmark)
        roi = Region.from_circle(np.array(middle), np.array(top))
        return Candidate(points, np.array([[p.x, p.y, p.z] for p in world]), score, roi)


def _network(name: str) -> bytes:
    with zipfile.ZipFile(pose_bundle()) as bundle:
        return bundle.read(name)


def _runner(graph: str, options: Any, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Any:
    """A graph of one node."""
    from mediapipe.framework import calculator_pb2
    from mediapipe.python._framework_bindings.task_runner import TaskRunner

    node = calculator_pb2.CalculatorGraphConfig.Node(calculator=graph, input_stream=inputs, output_stream=outputs)
    node.options.Extensions[type(options).ext].CopyFrom(options)
    config = calculator_pb2.CalculatorGraphConfig(node=[node], input_stream=inputs, output_stream=outputs)
    with quiet():
        return TaskRunner.create(config)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what MediaPipe's C++ side writes to the standard error away; Python's own messages come afterwards."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
