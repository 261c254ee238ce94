"""Images of predictions: the mesh is drawn where its camera projects it."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import torch

from backend.body.loader import load_body
from training.engine.mesh_images import MeshImageCallback, draw_sheet


def test_the_mesh_is_drawn_at_its_camera_position():
    body = load_body("open")
    vertices = body.v_template * torch.tensor([1.0, -1.0, -1.0])  # upright in the camera frame
    vertices = torch.stack([vertices - vertices.mean(0)] * 2)
    images = torch.zeros(2, 3, 128, 96)  # higher than wide
    camera = torch.tensor([[0.5, 0.0, 0.0], [0.5, 0.6, 0.0]])  # the second one to the right
    sheet = draw_sheet(images, vertices, camera, body.faces)
    assert sheet.shape == (2 * 128, 96 + 96 + 128, 3) and sheet.dtype == np.uint8
    plain = sheet[:128, :96].astype(int)
    for row, right in ((0, 0.0), (1, 0.3)):
        drawn = np.abs(sheet[128 * row : 128 * (row + 1), 96:192].astype(int) - plain).sum(2) > 30
        ys, xs = np.nonzero(drawn)
        # s (XY + t), the longer side spans [-1, 1]; arms reach out of the crop on one side
        middle = (96 - 1) / 2 + 64 * right
        columns = np.bincount(xs, minlength=96)
        assert abs(float(np.argmax(columns)) - middle) < 12
        height = float(vertices[0, :, 1].max() - vertices[0, :, 1].min()) * 0.5 * 64
        assert abs((ys.max() - ys.min()) - height) < 4


def test_two_views_without_images_and_black_for_nan_meshes():
    body = load_body("open_hand")
    vertices = torch.stack([body.v_template, body.v_template * float("nan")])
    sheet = draw_sheet(None, vertices, None, body.faces)
    assert sheet.shape == (448, 448, 3)
    assert sheet[:224].std() > 1 and not sheet[224:].any()


def test_one_sheet_per_epoch_of_the_first_samples(tmp_path):
    hand = load_body("open_hand")
    batch_sizes = []

    def visualised(batch):
        batch_sizes.append(len(batch["image"]))
        return batch["image"], hand.v_template.expand(len(batch["image"]), -1, -1), None, hand.faces

    trainer = SimpleNamespace(is_global_zero=True, current_epoch=0, global_step=7, loggers=[])
    callback, module = MeshImageCallback(tmp_path, max_samples=2), SimpleNamespace(visualised=visualised)
    batch = {"image": torch.zeros(5, 3, 64, 64)}
    callback.on_validation_batch_start(trainer, module, batch, 0)
    callback.on_validation_batch_start(trainer, module, batch, 1)
    callback.on_validation_batch_start(trainer, module, batch, 0, dataloader_idx=1)
    assert batch_sizes == [2]
    assert cv2.imread(str(tmp_path / "step-00000007.jpg")).shape == (128, 128, 3)
