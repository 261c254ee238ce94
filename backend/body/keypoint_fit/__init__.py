"""Fitting a body to detected keypoints: batched Levenberg-Marquardt with an analytic Jacobian."""

from backend.body.keypoint_fit.fit import KeypointFit, fit_keypoints

__all__ = ["KeypointFit", "fit_keypoints"]
