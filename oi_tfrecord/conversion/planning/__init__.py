"""The plan of a conversion: classes, inputs and their columns, sources of images, number of shards."""
