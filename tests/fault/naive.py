"""A spout as the example of Pachyderm 1.x is: what one would write first, and what the promise is measured against.

One tar a batch with the marker and the data in it, the FIFO opened for writing, resumed from /pfs/<marker>
(v1.13.4:examples/spouts/spout-marker/spout-marker-example.py). The source is the same sequence that ours reads.
"""

import io
import tarfile
from pathlib import Path
from typing import NoReturn

import streams
from spout.config import Config
from spout.records import Limit


def main(config: Config, pfs: Path) -> NoReturn:
    """Run for ever."""
    source = streams.Sequence(config.options)
    with (pfs / "out").open("wb") as out:
        try:
            at = int((pfs / config.marker).read_text())
        except FileNotFoundError:
            at = 0
        source.open(at)
        while True:
            records = source.read(Limit(config.batch.records, config.batch.bytes), 0.05)
            if records:
                lines = b"".join(record.data + b"\n" for record in records)
                path = f"data/{records[0].name}-{records[-1].name}"
                with tarfile.open(fileobj=out, mode="w|") as archive:
                    for name, data in ((config.marker, b"%d" % records[-1].position), (path, lines)):
                        info = tarfile.TarInfo(name)
                        info.size = len(data)
                        archive.addfile(info, io.BytesIO(data))
                out.flush()
