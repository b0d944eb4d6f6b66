"""Labels of a set whose data has other ones by now."""

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
    """Return True where a file of a set names the classes otherwise than its data now."""
    there = (datasets.Features.from_arrow_schema(schema).get(LABEL) for schema in rows.schemas)
    return isinstance(feature, datasets.ClassLabel) and any(one != feature for one in there)


def relabel(folder: Path, labels: Mapping[int, int | None], feature: Any) -> None:
    """Write the label column of a set anew, file by file; each takes its place when it is complete.

    Args:
        folder: of the set.
        labels: by index; images that are not among them keep theirs.
        feature: of the label column; None leaves its type as it is.
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
