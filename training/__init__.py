"""The published training runs of the four networks, headless: `python -m training list | fit | validate | test`."""
