"""The browser: an index of the records and the pages that search it."""
