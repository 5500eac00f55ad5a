"""From a raw file, fetched or made, to a Parquet data set, and from there to tensors."""
