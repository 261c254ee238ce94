"""People in images and clips: detection with 2D and 3D keypoints, and tracking."""
