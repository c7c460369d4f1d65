"""The export: records as tables, in Parquet files or in PostgreSQL."""
