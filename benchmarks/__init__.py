"""Every number of the docs, measured side by side in one run."""
