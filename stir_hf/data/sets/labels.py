"""Replacement of the labels of a set when those of its data have changed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from stir_hf.data.files.rows import Rows, opened, row_groups
from stir_hf.data.files.shards import NewFile, files_of

LABEL = "label"


def renamed(rows: Rows, feature: Any) -> bool:
    """Return True if a file of a set has other class names than its data has now."""
    there = (datasets.Features.from_arrow_schema(schema).get(LABEL) for schema in rows.schemas)
    return isinstance(feature, datasets.ClassLabel) and any(one != feature for one in there)


def relabel(folder: Path, labels: Mapping[int, int | None], feature: Any) -> None:
    """Rewrite the label column of a set file by file; each file is replaced when it is complete.
    Rows whose index is not in `labels` keep theirs; the feature None leaves the type as it is.
    """
    for path in files_of(folder):
        with opened(path) as file:
            features = datasets.Features.from_arrow_schema(file.schema_arrow)
        if feature is not None:
            features[LABEL] = feature
        schema = features.arrow_schema
        with (
            NewFile(folder, path.stem) as partial,
            pq.ParquetWriter(partial, schema, write_page_checksum=True) as writer,
        ):
            for table in row_groups(path):
                writer.write_table(_relabelled(table, labels, schema))


def _relabelled(table: pa.Table, labels: Mapping[int, int | None], schema: pa.Schema) -> pa.Table:
    index, before = table["index"].to_pylist(), table[LABEL].to_pylist()
    now = [labels.get(i, label) for i, label in zip(index, before, strict=True)]
    place, field = schema.get_field_index(LABEL), schema.field(LABEL)
    return table.set_column(place, field, pa.array(now, field.type)).cast(schema)
