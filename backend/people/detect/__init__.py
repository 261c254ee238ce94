"""Detection of people and their keypoints in one image, with tracked people as hints."""
