"""Recovering a clip: the job file, the journal of finished chunks, and the run that resumes from it."""
