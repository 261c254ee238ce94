"""A clip becomes motions: the job, its journal, and the run that resumes where it stopped."""
