"""MediaPipe's trunk in torch answers as its own file does in LiteRT.

tests/data/blazepose_litert.npz: every STEP-th value of the four maps (channels first) that ai-edge-litert 2.3.0, plain
kernels, computes from pose_landmark_full.tflite of mediapipe 0.10.21 for RandomState(0).rand(1, 256, 256, 3).
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from backend.errors import BadInput
from backend.models.backbones.blazepose import BlazePose
from training.engine.mediapipe_weights import blazepose_weights, wheel_file

GOLDEN = Path(__file__).parents[2] / "data" / "blazepose_litert.npz"


@pytest.fixture(scope="module")
def trunk():
    module = BlazePose().eval()
    module.load_state_dict(blazepose_weights(wheel_file()))
    return module


def picture(trunk):
    pixels = np.random.RandomState(0).rand(1, 256, 256, 3).astype(np.float32)
    return (torch.from_numpy(pixels).permute(0, 3, 1, 2) - trunk.mean) / trunk.std


@torch.inference_mode()
def test_the_maps_are_those_of_the_file(trunk):
    maps = trunk.features(picture(trunk))
    golden = np.load(GOLDEN)
    assert [tuple(x.shape[1:]) for x in maps] == [(48, 64, 64), (48, 32, 32), (48, 16, 16), (288, 8, 8)]
    for k, found in enumerate(maps):
        values = found.contiguous().flatten().numpy()[:: int(golden[f"step{k}"])]
        np.testing.assert_allclose(values, golden[f"map{k}"], atol=2e-4)


@torch.inference_mode()
def test_any_size_in_steps_of_32(trunk):
    assert [x.shape[-1] for x in trunk.features(torch.zeros(1, 3, 224, 224))] == [56, 28, 14, 7]
    assert trunk(torch.zeros(2, 3, 224, 224)).shape == (2, 288, 7, 7)


@pytest.mark.parametrize("name", ["pose_detection/pose_detection", "hand_landmark/hand_landmark_full"])
def test_another_network_is_refused(name):
    with pytest.raises(BadInput, match=r"pose_landmark|detection|hand_landmark") as caught:
        blazepose_weights(wheel_file().parents[1] / f"{name}.tflite")
    assert caught.value.code == "checkpoint_mismatch"
