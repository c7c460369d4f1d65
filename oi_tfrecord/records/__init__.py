"""Formats of records: tf.train.Example, TFRecord framing, record keys, label maps, shard names."""
