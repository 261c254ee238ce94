"""MediaPipe's two pose networks separately: detector of people, and landmarks of one person.

MediaPipe's own `PoseLandmarker` runs both on every image.  In a clip the regions of tracked people are known: the
detector can be left out, and the landmark network runs once per person.  The graphs and their numbers are MediaPipe's.
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

POSES_PER_RUN = 6  # largest number of people in one run; origin not recorded
_LANDMARKS = ("LANDMARKS:landmarks", "WORLD_LANDMARKS:world", "AUXILIARY_LANDMARKS:circle")
_SIDE = 320  # px; smaller parts are enlarged, as with `mediapipe_detector.MIN_CROP`
_MIN_SIDE = 8  # px; smaller parts are skipped
_MIN_CONFIDENCE = 0.5  # of both networks; MediaPipe's default


class NetworkImage:
    """An image as MediaPipe's packet, converted once.  pixels: uint8 RGB (H, W, 3)."""

    def __init__(self, pixels: np.ndarray) -> None:
        import mediapipe
        from mediapipe.python import packet_creator

        self.pixels = pixels
        self.height, self.width = pixels.shape[:2]
        image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(pixels))
        self.packet: Any = packet_creator.create_image(image)

    def rectangle(self, region: Region) -> Any:
        """The region as MediaPipe's NormalizedRect, in fractions of the image's width and height."""
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
    """The detector of people.  Not thread-safe."""

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
        """Regions of all people in a rectangle of the image, px; the rectangle may reach over the image's edges.

        It is cut out here: for a rectangle MediaPipe's results are relative to it and rotated by a wrong aspect ratio.
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
    """The landmark network.  Not thread-safe."""

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
        """The person in a region; None where the network detects nobody."""
        from mediapipe.python import packet_getter

        answer = self._runner.process({"image": network_image.packet, "rect": network_image.rectangle(region)})
        if answer["landmarks"].is_empty() or answer["world"].is_empty():
            return None
        landmarks = packet_getter.get_proto(answer["landmarks"]).landmark
        world = packet_getter.get_proto(answer["world"]).landmark
        wide, high = network_image.width, network_image.height
        points = np.array([[p.x * wide, p.y * high, p.visibility] for p in landmarks])
        score = float(points[[NOSE, *TORSO], 2].mean())
        # MediaPipe's auxiliary landmarks: middle and top of the circle around the person
        middle, top = ((p.x * wide, p.y * high) for p in packet_getter.get_proto(answer["circle"]).landmark)
        roi = Region.from_circle(np.array(middle), np.array(top))
        return Candidate(points, np.array([[p.x, p.y, p.z] for p in world]), score, roi)


def _network(name: str) -> bytes:
    """Content of a .tflite file in the bundle."""
    with zipfile.ZipFile(pose_bundle()) as bundle:
        return bundle.read(name)


def _runner(graph: str, options: Any, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Any:
    """Task runner of a graph with one node."""
    from mediapipe.framework import calculator_pb2
    from mediapipe.python._framework_bindings.task_runner import TaskRunner

    node = calculator_pb2.CalculatorGraphConfig.Node(calculator=graph, input_stream=inputs, output_stream=outputs)
    node.options.Extensions[type(options).ext].CopyFrom(options)
    config = calculator_pb2.CalculatorGraphConfig(node=[node], input_stream=inputs, output_stream=outputs)
    with quiet():
        return TaskRunner.create(config)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Discard what is written to standard error meanwhile: MediaPipe's C++ side logs there."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
