"""The parquet files of inversion sets, written, read and checked."""
