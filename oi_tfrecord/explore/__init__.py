"""Look at finished records: show a record, report on a dataset, browse it, export it as tables."""
