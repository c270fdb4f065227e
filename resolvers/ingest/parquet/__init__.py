"""Jobs as Parquet, for engines that can ask anything of them. Needs pyarrow, which is the extra `parquet`.

`table` makes record batches of what the reader of reports gives, `months` parts them by month, and `export` brings
archives to a destination.
"""
