"""The parts of the server: sessions, jobs, the worker process, security, the command."""
