"""Make new splits from finished records: resample a split, merge datasets."""
