"""CSV tables: byte ranges, parsing, checks of rows, filters."""
