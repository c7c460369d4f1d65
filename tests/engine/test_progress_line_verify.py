import json
import pathlib

from oi_tfrecord import storage
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.engine.progress_line import VerifyProgress


def test_reports_add_up(tmp_path: pathlib.Path) -> None:
    work = WorkFolder(str(tmp_path))
    storage.make_folder(work.temporary)
    storage.make_folder(storage.join(work.path, "progress"))
    progress = VerifyProgress(work, 9)
    assert "0 records verified" in progress.text()
    for name, records, shards in (("one", 1000, 1.5), ("two", 234, 1)):
        report = {"records": records, "bytes": 5, "rejects": 2, "shards": shards}
        work.write_progress(name, json.dumps(report).encode())
    text = progress.text()
    assert "1,234 records verified" in text
    assert "4 faults, 2 of 9 shards" in text
