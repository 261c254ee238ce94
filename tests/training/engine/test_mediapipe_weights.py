"""MediaPipe's backbone in torch equals its own file in LiteRT.

tests/data/blazepose_litert.npz: every STEP-th value of the four feature maps (channels first) and of the landmark
head's last map (channels last), by ai-edge-litert 2.3.0 with plain kernels from pose_landmark_full.tflite of mediapipe
0.10.21 for the image below.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from backend.errors import BadInput
from backend.models.backbones.blazepose import BlazePose
from training.weights.mediapipe_weights import blazepose_weights, wheel_file

GOLDEN = Path(__file__).parents[2] / "data" / "blazepose_litert.npz"


@pytest.fixture(scope="module")
def backbone():
    module = BlazePose().eval()
    module.load_state_dict(blazepose_weights(wheel_file()))
    return module


def golden_image(backbone):
    y, x, c = np.meshgrid(np.arange(256), np.arange(256), np.arange(3), indexing="ij")
    pixels = (0.5 + 0.5 * np.sin(0.04 * (c + 1) * y + 0.03 * x)).astype(np.float32)[None]
    return (torch.from_numpy(pixels).permute(0, 3, 1, 2) - backbone.mean) / backbone.std


@torch.inference_mode()
def test_feature_maps_equal_litert(backbone):
    maps = backbone.features(golden_image(backbone))
    golden = np.load(GOLDEN)
    assert [tuple(x.shape[1:]) for x in maps] == [(48, 64, 64), (48, 32, 32), (48, 16, 16), (1440, 8, 8)]
    *pyramid, last = (features[0] for features in maps)
    assert torch.equal(last[288:, 0, 0], last[288:, 7, 3])  # features of the person, equal at all positions
    for k, features in enumerate([*pyramid, last[:288], last[288:, 0, 0] / 4]):
        values = features.contiguous().flatten().numpy()[:: int(golden[f"step{k}"])]
        assert (values != 0).mean() > 0.05
        np.testing.assert_allclose(values, golden[f"map{k}"], atol=2e-4)


@torch.inference_mode()
def test_any_size_in_steps_of_32(backbone):
    assert [x.shape[-1] for x in backbone.features(torch.zeros(1, 3, 224, 224))] == [56, 28, 14, 7]
    assert backbone(torch.zeros(2, 3, 224, 224)).shape == (2, 1440, 7, 7)


def test_calibration_standardises_and_bounds_the_last_map():
    torch.manual_seed(0)
    module = BlazePose().eval()
    module.load_state_dict(blazepose_weights(wheel_file()))
    batches = [torch.randn(8, 3, 64, 64) for _ in range(3)]
    with torch.no_grad():
        raw = torch.cat([module(batch) for batch in batches])
    module.calibrate(batches)
    with torch.no_grad():
        features = torch.cat([module(batch) for batch in batches])
    active = raw.std((0, 2, 3)) > 0.1
    assert 100 < active.sum() < 1440
    assert features.mean((0, 2, 3)).abs().max() < 0.1
    assert (features.std((0, 2, 3))[active] - 1).abs().max() < 0.1
    # a nearly constant channel is not amplified
    assert torch.all(features.std((0, 2, 3))[~active] < 1.01)
    with torch.no_grad():
        assert module(100 * batches[0]).abs().max() <= 8
    before = {name: value.clone() for name, value in module.state_dict().items()}
    module.calibrate(batches)  # from the raw map again
    for name, value in module.state_dict().items():
        torch.testing.assert_close(value, before[name], msg=name)


@pytest.mark.parametrize("name", ["pose_detection/pose_detection", "hand_landmark/hand_landmark_full"])
def test_another_network_is_refused(name):
    with pytest.raises(BadInput, match=r"pose_landmark|detection|hand_landmark") as caught:
        blazepose_weights(wheel_file().parents[1] / f"{name}.tflite")
    assert caught.value.code == "checkpoint_mismatch"
