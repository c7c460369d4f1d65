import dataclasses
import pathlib
import tarfile
import zipfile

import pytest

from oi_tfrecord.conversion.dry_run import time_archives as archive_timing
from oi_tfrecord.conversion.dry_run.time_archives import ArchiveSample, ListedPart, list_part, time_listing
from oi_tfrecord.conversion.dry_run.time_storage import Extent
from oi_tfrecord.conversion.flags import parse_convert
from oi_tfrecord.conversion.list_archive import read_archive
from oi_tfrecord.conversion.plan import make_plan
from oi_tfrecord.conversion.read_range import RangeJob
from oi_tfrecord.dataset.accounts import RangeAccount
from oi_tfrecord.errors import InputError
from oi_tfrecord.images.values import ImageRejected
from oi_tfrecord.openimages.csv.files import InputFile
from oi_tfrecord.openimages.schema import Listing
from oi_tfrecord.sources.archive_listing import open_archives
from oi_tfrecord.sources.archives import ArchiveSource
from tests.support import small_release

IMAGES = {number << 50: bytes([number]) * (2000 + number) for number in range(1, 41)}


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> RangeJob:
    release = small_release.write_release(tmp_path_factory.mktemp("release") / "data", images=8, faults=False)
    flags = release.flags(tmp_path_factory.mktemp("out"), num_shards=1)
    return make_plan(parse_convert(flags).config).range_job(frozenset())


def pack(folder: pathlib.Path, name: str, images: dict[int, bytes]) -> InputFile:
    loose = folder / "loose"
    loose.mkdir(exist_ok=True)
    path = folder / name
    for image_id, data in images.items():
        (loose / f"{image_id:016x}.jpg").write_bytes(data)
    names = [f"{image_id:016x}.jpg" for image_id in images]
    if name.endswith("zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for member in names:
                archive.write(loose / member, member)
    else:
        with tarfile.open(path, "w:gz" if name.endswith("gz") else "w") as tar:
            for member in names:
                tar.add(loose / member, member)
    [file] = open_archives([str(path)], "")
    return file


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.zip"])
def test_a_small_archive_is_listed_as_a_conversion_does(name: str, job: RangeJob, tmp_path: pathlib.Path) -> None:
    file = pack(tmp_path, name, IMAGES)
    part = list_part(job, file)
    assert [found.image_id for found in part.images] == list(IMAGES)
    assert part.share == 1
    assert part.seconds > 0
    shuffled = [item for item in read_archive(job, file) if not isinstance(item, RangeAccount)]
    assert part.shuffled_bytes == sum(len(data) for _, data in shuffled)


def test_of_a_large_tar_a_part_is_listed(job: RangeJob, tmp_path: pathlib.Path) -> None:
    file = pack(tmp_path, "a.tar", IMAGES)
    part = list_part(job, file, least_seconds=0.0)
    assert [found.image_id for found in part.images] == list(IMAGES)[:1]
    # The headers of the archive's members lie before their data.
    assert 0 < part.share == part.images[0].member.offset / file.size < 0.1


def test_a_part_of_a_tar_gz_ends_with_what_was_inflated(
    job: RangeJob, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = pack(tmp_path, "a.tar.gz", IMAGES)
    part = list_part(job, file, least_seconds=0.0)
    # All of it was read at once, so all of it is listed in that time.
    assert len(part.images) == len(IMAGES)
    assert part.share == 1


def test_times_of_each_kind_are_scaled_by_its_bytes(
    job: RangeJob, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tars = [pack(tmp_path, f"{number}.tar", IMAGES) for number in range(3)]
    tars = [dataclasses.replace(file, size=size) for file, size in zip(tars, (1000, 2000, 3000), strict=True)]
    zipped = pack(tmp_path, "x.zip", IMAGES)
    listed = {tars[0].path: (0.5, 2.0, 100), zipped.path: (1.0, 6.0, 70)}

    def list_part(job: RangeJob, file: InputFile) -> ListedPart:
        share, seconds, shuffled_bytes = listed[file.path]
        return ListedPart(file, (), share, seconds, shuffled_bytes)

    monkeypatch.setattr(archive_timing, "list_part", list_part)
    timing, part = time_listing(job, [*tars, zipped])
    # Half of 1,000 bytes in 2 s: 6,000 bytes in 24 s, of which the largest takes 12 s; the zip takes 6 s.
    assert timing.archives == 4
    assert timing.seconds == pytest.approx(30)
    assert timing.largest == pytest.approx(12 / 30)
    assert timing.shuffled_bytes == 12 * 100 + 70
    assert part is not None
    assert part.file == tars[0]


def test_masks_are_listed_but_are_no_images(job: RangeJob, tmp_path: pathlib.Path) -> None:
    file = dataclasses.replace(pack(tmp_path, "masks.zip", IMAGES), table=Listing.MASK_FILES)
    timing, part = time_listing(job, [file])
    assert timing.archives == 1
    assert part is None


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.zip"])
def test_sampled_images_are_read_from_where_they_are(name: str, job: RangeJob, tmp_path: pathlib.Path) -> None:
    file = pack(tmp_path, name, IMAGES)
    _, part = time_listing(job, [file])
    assert part is not None
    sample = ArchiveSample(ArchiveSource((file,), 10_000), job, part)
    assert {sample.read(f"{number:016x}") for number in range(40)} == set(IMAGES.values())
    assert len(sample.extents) == 40
    assert all(extent.path == file.path and extent.offset < file.size for extent in sample.extents)
    if name == "a.tar":
        assert sample.stored_bytes == pytest.approx(sum(map(len, IMAGES.values())) / 40)


def test_images_that_a_filter_leaves_out_stand_in_as_well(job: RangeJob, tmp_path: pathlib.Path) -> None:
    file = pack(tmp_path, "a.tar", IMAGES)
    few = dataclasses.replace(job, filters=dataclasses.replace(job.filters, sample_below=0))
    _, part = time_listing(few, [file])
    assert part is not None
    assert ArchiveSample(ArchiveSource((file,), 10_000), few, part).read("0000000000000001")


def test_an_archive_without_images_has_no_sample(job: RangeJob, tmp_path: pathlib.Path) -> None:
    file = pack(tmp_path, "a.tar", {})
    _, part = time_listing(job, [file])
    assert part is not None
    sample = ArchiveSample(ArchiveSource((file,), 10_000), job, part)
    assert (sample.extents, sample.stored_bytes) == ([], 0)
    with pytest.raises(ImageRejected, match="no image"):
        sample.read("0000000000000001")


def test_an_archive_that_cannot_be_listed_is_named(job: RangeJob, tmp_path: pathlib.Path) -> None:
    file = pack(tmp_path, "a.tar", IMAGES)
    pathlib.Path(file.path).write_bytes(pathlib.Path(file.path).read_bytes()[:300])
    with pytest.raises(InputError, match=r"a\.tar"):
        list_part(job, file)


@pytest.mark.parametrize("is_cached", [True, False])
def test_an_archive_that_was_in_memory_is_told_from_one_that_was_not(
    is_cached: bool, job: RangeJob, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = pack(tmp_path, "a.tar", IMAGES)
    dropped: list[Extent] = []
    monkeypatch.setattr(archive_timing, "find_cached", lambda extents: [is_cached] * len(extents))
    monkeypatch.setattr(archive_timing, "drop_cached", dropped.extend)
    part = list_part(job, file)
    assert part.was_cached is is_cached
    assert dropped == ([] if is_cached else [part.whole])
