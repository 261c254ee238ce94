"""The small lifter, taught by procedural poses: a detector's 2D and 3D keypoints -> clean 3D joints and landmarks.

It is the first half of the network `pose2mesh-small`; see `backend.models.pose2mesh_small.network`.
"""

from backend.models.pose2mesh_small.network import GIVEN, INPUTS, JOINTS, LANDMARKS, Lifter, features, lift

__all__ = ["GIVEN", "INPUTS", "JOINTS", "LANDMARKS", "Lifter", "features", "lift"]
