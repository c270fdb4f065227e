"""Jobs as Parquet, for analytical engines. Needs pyarrow, which is the extra `parquet`.

`record_batches` and `arrow_schema` turn the parser's rows into record batches, `month_partitions` partitions them by
month, and `export` writes archives to a destination.
"""
