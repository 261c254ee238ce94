"""Shared by the data set tests: a record must equal the person that its tiny file was made of."""

from __future__ import annotations

import numpy as np

from training.datasets.geometry import project, project_weak
from training.datasets.posed_joints import posed_joints


def assert_record_matches(record, person, atol3d=2e-6, atol2d=0.02):
    """Compares pose, betas and trans with the person's, and the posed and projected body with the joints."""
    posed = posed_joints(person.body)
    if record.pose is not None:
        root, wanted = record.pose[:3], person.pose[:3]
        np.testing.assert_allclose(_matrix(root), _matrix(wanted), atol=2e-6)
        np.testing.assert_allclose(record.pose[3:], person.pose[3:], atol=1e-6)
        np.testing.assert_allclose(record.betas, person.betas, atol=1e-6)
        if record.trans is not None:
            np.testing.assert_allclose(record.trans, person.trans, atol=atol3d)
        joints = posed.joints(record.joint_set, record.pose, record.betas, record.trans)
        if record.joints3d is not None:
            shift = 0 if record.trans is not None and record.camera is not None else record.joints3d[0, :3] - joints[0]
            np.testing.assert_allclose(record.joints3d[:, :3], joints + shift, atol=5 * atol3d)
        if record.joints2d is not None and record.camera is not None and record.trans is not None:
            visible = record.joints2d[:, 2] > 0
            np.testing.assert_allclose(
                record.joints2d[visible, :2], project(joints, record.camera)[visible], atol=atol2d
            )
        if record.weak_camera is not None and record.joints2d is not None:
            plain = posed.joints(record.joint_set, record.pose, record.betas)
            np.testing.assert_allclose(record.joints2d[:, :2], project_weak(plain, record.weak_camera), atol=atol2d)
    if record.joints2d is not None and record.weak_camera is None:
        visible = record.joints2d[:, 2] > 0
        np.testing.assert_allclose(
            record.joints2d[visible, :2], person.joints2d(record.joint_set)[visible], atol=atol2d
        )
    if record.joints3d is not None and record.camera is not None:
        np.testing.assert_allclose(record.joints3d[:, :3], person.joints3d(record.joint_set), atol=5 * atol3d)


def _matrix(vector):
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(vector).as_matrix()
