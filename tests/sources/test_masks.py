import pathlib
import random
import zipfile

import numpy as np
import pytest

from oi_tfrecord.errors import InputError
from oi_tfrecord.images.values import ImageRejected
from oi_tfrecord.join.archive_places import ImageFiles
from oi_tfrecord.join.pair_masks import MaskRules
from oi_tfrecord.openimages.schema import IMAGE_FILE_ROW, Table
from oi_tfrecord.reasons import Reject
from oi_tfrecord.sources.archive_format import find_mask_image, list_zip
from oi_tfrecord.sources.archive_listing import ArchiveListing, open_archives
from oi_tfrecord.sources.archives import ArchiveSource
from oi_tfrecord.sources.files import PatternSource
from oi_tfrecord.sources.masks import MaskSource
from tests.sources.test_archives import FLIPS, row_of

NAME = "677c122b0eaa5d16_m04yx4_9a041d52.png"


def from_pattern(pattern: str) -> MaskSource:
    return MaskSource(MaskRules(), PatternSource(pattern, "train", 1000), ArchiveSource((), 1000), 1000)


@pytest.mark.parametrize(
    ("pattern", "mask_path", "path"),
    [
        ("/masks/{mask_path}", NAME, f"/masks/{NAME}"),
        ("/{split}-masks-{digit}/{mask_path}", NAME, f"/train-masks-6/{NAME}"),
        ("/masks/{digit}/{mask_path}", f"a/{NAME}", f"/masks/6/a/{NAME}"),
        # What a name holds is no pattern.
        ("/masks/{digit}/{mask_path}", "{split}{digit}", "/masks/{/{split}{digit}"),
    ],
)
def test_path_of_a_mask(pattern: str, mask_path: str, path: str) -> None:
    assert from_pattern(pattern).paths(mask_path)[0] == path


def test_files_are_read_within_bounds(tmp_path: pathlib.Path) -> None:
    (tmp_path / NAME).write_bytes(b"x" * 1000)
    (tmp_path / "large.png").write_bytes(b"x" * 1001)
    source = from_pattern(str(tmp_path / "{mask_path}"))
    assert not source.is_remote
    assert source.read(NAME, 0, None) == b"x" * 1000
    for name, reason in (("none.png", Reject.IMAGE_MISSING), ("large.png", Reject.IMAGE_TOO_LARGE)):
        with pytest.raises(ImageRejected) as raised:
            source.read(name, 0, None)
        assert raised.value.reason is reason


def test_members_of_archives_are_read_at_their_place(tmp_path: pathlib.Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("other.png", b"other" * 50)
        zipped.writestr(NAME, b"mask" * 50)
    archives = tuple(open_archives([str(tmp_path / "*.zip")], "train", Table.MASK_FILES, "mask_archives"))
    source = MaskSource(MaskRules(), PatternSource("", "train", 1000), ArchiveSource(archives, 1000), 1000)
    with (tmp_path / "a.zip").open("rb") as stream:
        member = list(list_zip(stream))[1]
    rows = np.zeros(2, IMAGE_FILE_ROW)
    for field in ("offset", "size", "stored", "storing", "crc32"):
        rows[field][1] = getattr(member, field)
    rows["image_id"][1] = int(find_mask_image(NAME) or b"", 16)
    places = ImageFiles(np.array([-1, 0]), rows)
    assert source.read(NAME, 1, places) == b"mask" * 50
    for index, given in ((0, places), (1, None)):
        with pytest.raises(ImageRejected, match=f"image_missing: 1 archives do not hold {NAME}"):
            source.read(NAME, index, given)


def test_no_flipped_bit_gives_another_mask_or_hides_one(tmp_path: pathlib.Path) -> None:
    """The masks of one image have names that differ by a bit, and sizes that are the same."""
    chosen = random.Random(21)
    names = [f"677c122b0eaa5d16_m04yx4_9a041d5{digit}.png" for digit in "0123"]
    masks = {name: chosen.randbytes(300) for name in names}
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as zipped:
        for name, data in masks.items():
            zipped.writestr(name, data)
    whole = path.read_bytes()
    wrong, effects = [], 0
    for place in chosen.sample(range(8 * len(whole)), FLIPS):
        data = bytearray(whole)
        data[place // 8] ^= 1 << place % 8
        path.write_bytes(data)
        try:
            archives = tuple(open_archives([str(path)], "train", Table.MASK_FILES, "mask_archives"))
            listing = ArchiveListing(archives[0])
            found = {found.member.name: found for found in listing.images()}
        except InputError:
            effects += 1
            continue
        source = MaskSource(MaskRules(), PatternSource("", "train", 1000), ArchiveSource(archives, 1000), 1000)
        rejected = 0
        for name in masks.keys() & found.keys():
            rows = np.array([row_of(found[name])], IMAGE_FILE_ROW)
            try:
                if source.read(name, 0, ImageFiles(np.array([0]), rows)) != masks[name]:
                    wrong.append(place)
            except ImageRejected:
                rejected += 1
        assert masks.keys() <= found.keys() or listing.damage, place
        effects += bool(rejected or listing.damage)
    assert not wrong
    assert effects > FLIPS // 2


def test_a_mask_that_the_directory_gives_the_name_of_another_is_not_read(tmp_path: pathlib.Path) -> None:
    path, other = tmp_path / "x.zip", NAME.replace("52.png", "53.png")
    with zipfile.ZipFile(path, "w") as zipped:
        zipped.writestr(NAME, b"mask")
        zipped.writestr(other, b"other")
    data = path.read_bytes()
    place = data.rindex(NAME.encode())
    path.write_bytes(data[:place] + other.encode() + data[place + len(other) :])
    archives = tuple(open_archives([str(path)], "train", Table.MASK_FILES, "mask_archives"))
    first, _ = ArchiveListing(archives[0]).images()
    assert first.member.name == other
    source = MaskSource(MaskRules(), PatternSource("", "train", 1000), ArchiveSource(archives, 1000), 1000)
    with pytest.raises(ImageRejected, match="image_broken"):
        source.read(other, 0, ImageFiles(np.array([0]), np.array([row_of(first)], IMAGE_FILE_ROW)))
