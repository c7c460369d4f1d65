"""The output folder: manifest, accounts, rejects, work folder; readers of records."""
