"""One file per benchmark, in the format that its users have on disk; every row becomes a `Record`."""
