"""Who is where in a picture: people with boxes, keypoints and visibility."""
