"""The server: sessions, jobs, the worker process, security, the command's options."""
