"""A small Pose2Mesh for 33 landmarks: network, adapter, and the lifter that guides the keypoint fit."""
