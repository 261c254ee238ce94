"""Running a network on crops or keypoints of people, and its bodies in the photo's camera frame."""
