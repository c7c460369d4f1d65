"""The report: counts over all records as one HTML page, JSON or CSV."""
