"""Convert Open Images tables and images to records: plan, read, join, write, finish; `pipeline` is the map."""
