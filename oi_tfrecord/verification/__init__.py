"""Read a dataset back and name each fault with its shard, record, offset and key."""
