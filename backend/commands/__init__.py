"""The sub-commands of `recover-mesh`, one file each."""
