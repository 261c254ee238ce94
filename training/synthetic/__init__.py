"""A synthetic data set of the open body and the open hand: procedural poses, clothing, lighting, images and labels.

`python -m training.synthetic OUT --count 20000 --size 224 --seed 0 --workers 2` writes images; the module `keypoints`
gives endless batches of poses with detector-like keypoints, without images.
"""
