"""The commands: flags in, text and an exit code out."""
