"""Episodes in the formats of other tools: ATIF, JSON lines, parquet, inspect_ai's logs."""
