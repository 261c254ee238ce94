"""From tracks of detected people to smooth motions in one metric world."""
