"""A synthetic data set of the open body and the open hand: poses, looks, images and labels, all made here.

`python -m training.synthetic OUT --count 20000 --size 224 --seed 0 --workers 2` writes images; `keypoints` gives
endless batches of poses and detector-like keypoints without images.
"""
