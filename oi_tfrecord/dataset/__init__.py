"""The output folder: its manifest, accounts, rejects and work folder, and the readers of its records."""
