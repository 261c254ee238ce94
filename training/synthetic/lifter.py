"""The lifter of `pose2mesh-small`: a detector's 2D and 3D keypoints -> 3D joints and landmarks.

Its code is `backend.models.pose2mesh_small.network`.
"""

from backend.models.pose2mesh_small.network import GIVEN, INPUTS, JOINTS, LANDMARKS, Lifter, features, lift

__all__ = ["GIVEN", "INPUTS", "JOINTS", "LANDMARKS", "Lifter", "features", "lift"]
