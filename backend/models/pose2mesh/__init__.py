"""Pose2Mesh (Choi et al., ECCV 2020): network, mesh graphs, joint sets, adapter."""
