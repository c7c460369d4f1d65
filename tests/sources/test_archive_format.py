import io
import random
import tarfile
import zipfile
from collections.abc import Iterator

import pytest

from oi_tfrecord.openimages.image_id import IdForm
from oi_tfrecord.sources.archive_format import (
    LOCAL_HEADER,
    ArchiveDamaged,
    ArchiveKind,
    Member,
    Storing,
    find_image_id,
    find_kind,
    find_mask_image,
    list_tar,
    list_zip,
)

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
LONG = "a folder/" * 20
FILES = {f"train_0/{number:016x}.jpg": bytes([number]) * (number * 700) for number in range(5)}


def make_tar(files: dict[str, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def make_zip(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as zipped:
        for name, data in files.items():
            zipped.writestr(name, data)
    return out.getvalue()


def collect(members: Iterator[Member]) -> tuple[list[Member], str]:
    """Returns the members, and what the listing says of damage."""
    found = []
    try:
        for member in members:
            found.append(member)
    except ArchiveDamaged as damage:
        return found, str(damage)
    return found, ""


def data_of(archive: bytes, member: Member) -> bytes:
    """Returns the bytes of a stored member."""
    start = member.offset
    if member.storing is Storing.ZIP_STORED:
        *_, name_bytes, extra_bytes = LOCAL_HEADER.unpack_from(archive, start)
        start += LOCAL_HEADER.size + name_bytes + extra_bytes
    return archive[start : start + member.stored]


@pytest.mark.parametrize(
    ("name", "image_id"),
    [
        ("train_0/000a1249af2bc5f0.jpg", b"000a1249af2bc5f0"),
        ("000a1249af2bc5f0.JPEG", b"000a1249af2bc5f0"),
        ("a/b/ffffffffffffffff.png", b"f" * 16),
        ("000A1249AF2BC5F0.jpg", None),
        ("000a1249af2bc5f.jpg", None),
        ("0000a1249af2bc5f0.jpg", None),
        ("000a1249af2bc5f0_m01.png", None),
        ("._000a1249af2bc5f0.jpg", None),
        ("000a1249af2bc5f0.txt", None),
        ("000a1249af2bc5f0", None),
        ("000a1249af2bc5f0.jpg/x", None),
    ],
)
def test_an_image_is_named_by_its_id(name: str, image_id: bytes | None) -> None:
    assert find_image_id(name) == image_id


@pytest.mark.parametrize(
    ("name", "form", "image_id"),
    [
        ("train/img_1.jpg", IdForm.NAME, b"img_1"),
        ("a.b.jpg", IdForm.NAME, b"a.b"),
        ("photo.jpg.jpg", IdForm.NAME, b"photo.jpg"),
        ("photo.jpg", IdForm.FILE_NAME, b"photo.jpg"),
        ("photo.JPG", IdForm.FILE_NAME, b"photo.JPG"),
        ("Zoë.png", IdForm.NAME, "Zoë".encode()),
        ("000a1249af2bc5f0.jpg", IdForm.NAME, b"000a1249af2bc5f0"),
        (".jpg", IdForm.NAME, None),
        ("img_1.txt", IdForm.NAME, None),
        ("img_1", IdForm.FILE_NAME, None),
        ("bad\x07.jpg", IdForm.NAME, None),
        ("\udcff.jpg", IdForm.NAME, None),
    ],
)
def test_an_image_is_named_by_its_name(name: str, form: IdForm, image_id: bytes | None) -> None:
    assert find_image_id(name, form) == image_id


@pytest.mark.parametrize(
    ("name", "image_id"),
    [
        ("img_1_m0k4j_1a2b3c4d.png", b"img_1"),
        ("img_1_m03_wxk_1a2b3c4d.png", b"img_1"),
        ("masks/a.b_cat_7.PNG", b"a.b"),
        ("img.png", None),
        ("_cat_7.png", None),
    ],
)
def test_a_mask_names_its_image(name: str, image_id: bytes | None) -> None:
    assert find_mask_image(name, IdForm.NAME) == image_id


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_tar_members_are_where_the_listing_says(form: int) -> None:
    long = {} if form == tarfile.USTAR_FORMAT else {LONG + "0123456789abcdef.jpg": b"long name", "Zürich.jpg": b"z"}
    files = FILES | long
    archive = make_tar(files, form)
    members, damage = collect(list_tar(io.BytesIO(archive)))
    assert damage == ""
    assert {member.name: data_of(archive, member) for member in members} == files
    assert {member.storing for member in members} == {Storing.PLAIN}
    assert find_kind(archive[:512]) is ArchiveKind.TAR


def test_folders_are_no_members_and_links_are_unreadable() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind in (("folder", tarfile.DIRTYPE), ("soft.jpg", tarfile.SYMTYPE), ("hard.jpg", tarfile.LNKTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "target"
            tar.addfile(info)
    members, damage = collect(list_tar(io.BytesIO(out.getvalue())))
    assert damage == ""
    assert [(member.name, member.storing) for member in members] == [
        ("soft.jpg", Storing.UNREADABLE),
        ("hard.jpg", Storing.UNREADABLE),
    ]


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_a_tar_cut_anywhere_lists_what_starts_before_the_cut(form: int) -> None:
    archive = make_tar(FILES, form)
    whole, _ = collect(list_tar(io.BytesIO(archive)))
    last_end = whole[-1].offset + -(-whole[-1].size // 512) * 512
    for cut in [*random.Random(1).sample(range(1, last_end + 512), 200), whole[2].offset, whole[2].offset + 1]:
        members, damage = collect(list_tar(io.BytesIO(archive[:cut])))
        assert damage, cut
        # The data start right behind the header, so a member is listed if its header is whole.
        assert members == [member for member in whole if member.offset <= cut], cut


@pytest.mark.parametrize("blocks", [1, 2])
def test_a_tar_needs_its_end_mark(blocks: int) -> None:
    members, _ = collect(list_tar(io.BytesIO(make_tar(FILES))))
    end = members[-1].offset + -(-members[-1].size // 512) * 512
    cut = make_tar(FILES)[: end + 512 * blocks]
    # The standard asks for two blocks of zeros; what follows the first is never looked at.
    assert collect(list_tar(io.BytesIO(cut))) == (members, "")


def test_damage_in_the_middle_of_a_tar_is_no_end() -> None:
    archive = bytearray(make_tar(FILES))
    members, _ = collect(list_tar(io.BytesIO(bytes(archive))))
    header = members[3].offset - 512
    archive[header : header + 100] = b"x" * 100
    found, damage = collect(list_tar(io.BytesIO(bytes(archive))))
    assert found == members[:3]
    assert damage == f"is damaged: no header at byte {header:,} of the tar"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip_members_are_those_of_the_directory(method: int) -> None:
    archive = make_zip(FILES | {LONG + "x.jpg": b"x", "folder/": b""}, method)
    members, damage = collect(list_zip(io.BytesIO(archive)))
    assert damage == ""
    with zipfile.ZipFile(io.BytesIO(archive)) as zipped:
        expected = {info.filename: info for info in zipped.infolist() if not info.is_dir()}
        assert {member.name: member.crc32 for member in members} == {name: i.CRC for name, i in expected.items()}
        assert [member.size for member in members] == [info.file_size for info in expected.values()]
        if method == zipfile.ZIP_STORED:
            assert {member.name: data_of(archive, member) for member in members} == {
                name: zipped.read(name) for name in expected
            }
    assert find_kind(archive[:512]) is ArchiveKind.ZIP


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_cut_zip_is_listed_from_its_local_headers(method: int) -> None:
    archive = make_zip(FILES, method)
    whole, _ = collect(list_zip(io.BytesIO(archive)))
    for number, member in enumerate(whole):
        header_end = member.offset + LOCAL_HEADER.size
        for cut, expected in ((header_end - 1, number), (header_end + len(member.name), number + 1)):
            members, damage = collect(list_zip(io.BytesIO(archive[:cut])))
            assert members == whole[:expected]
            assert "cut off" in damage


def test_a_cut_zip_whose_sizes_follow_its_files_cannot_be_listed() -> None:
    class Pipe(io.RawIOBase):
        """Takes bytes, and cannot go back to fill in sizes."""

        data = b""

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.data += bytes(data)
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as zipped:  # type: ignore[arg-type]
        for name, data in FILES.items():
            zipped.writestr(name, data)
    assert len(collect(list_zip(io.BytesIO(pipe.data)))[0]) == len(FILES)
    members, damage = collect(list_zip(io.BytesIO(pipe.data[:-30])))
    assert (members, "sizes of its files from byte 0 on are lost" in damage) == ([], True)


def test_methods_that_are_not_read_are_unreadable() -> None:
    archive = bytearray(make_zip({"a.jpg": b"x"}, zipfile.ZIP_LZMA))
    assert [member.storing for member in list_zip(io.BytesIO(bytes(archive)))] == [Storing.UNREADABLE]
    archive = bytearray(make_zip({"a.jpg": b"x"}))
    directory = archive.index(b"PK\x01\x02")
    archive[directory + 8] |= 1
    assert [member.storing for member in list_zip(io.BytesIO(bytes(archive)))] == [Storing.UNREADABLE]


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        (b"", "is empty"),
        (b"BZh91AY&SY", "is compressed with bzip2"),
        (b"\xfd7zXZ\0\0\4", "is compressed with xz"),
        (b"\x28\xb5\x2f\xfd\0", "is compressed with Zstandard"),
        (b"\xff\xd8\xff\xe0" + bytes(508), "is neither tar, tar.gz nor zip"),
        (b"ImageID,Source,LabelName", "is neither tar, tar.gz nor zip"),
    ],
)
def test_what_is_no_archive_is_refused(head: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        find_kind(head)


def test_archives_without_files() -> None:
    for archive, kind, listing in (
        (make_tar({}), ArchiveKind.TAR, list_tar),
        (make_zip({}), ArchiveKind.ZIP, list_zip),
    ):
        assert find_kind(archive[:512]) is kind
        assert collect(listing(io.BytesIO(archive))) == ([], "")


@pytest.mark.parametrize("comment", [b"", b"a comment"])
def test_joined_zips_and_bytes_behind_a_zip_are_damage(comment: bytes) -> None:
    out = io.BytesIO(make_zip(FILES))
    with zipfile.ZipFile(out, "a") as zipped:
        zipped.comment = comment
    first, second = make_zip({"train/ffffffffffffffff.jpg": b"x"}), out.getvalue()
    assert collect(list_zip(io.BytesIO(second)))[1] == ""
    members, damage = collect(list_zip(io.BytesIO(first + second)))
    assert [member.name for member in members] == list(FILES)
    assert damage.startswith(f"is damaged: the {len(first)} bytes before its first file are in no directory")
    members, damage = collect(list_zip(io.BytesIO(second + b"tail")))
    assert [member.name for member in members] == list(FILES)
    assert damage == "is damaged: the 4 bytes behind its end record are of no file"


@pytest.mark.parametrize("zeros", [0, 512, 5000])
def test_what_follows_the_end_of_a_tar_is_damage(zeros: int) -> None:
    first, second = make_tar(FILES), make_tar({"train/ffffffffffffffff.jpg": b"x"})
    members, damage = collect(list_tar(io.BytesIO(first + bytes(zeros) + second)))
    assert [member.name for member in members] == list(FILES)
    assert damage.startswith("is damaged: zeros from byte")
    assert f"data from byte {len(first) + zeros:,} on" in damage


def test_a_hole_in_a_tar_is_damage() -> None:
    archive = bytearray(make_tar(FILES))
    members, _ = collect(list_tar(io.BytesIO(bytes(archive))))
    header = members[2].offset - 512
    archive[header : header + 512] = bytes(512)
    found, damage = collect(list_tar(io.BytesIO(bytes(archive))))
    assert found == members[:2]
    assert f"zeros from byte {header:,}" in damage


def test_a_tar_that_ends_in_a_megabyte_of_zeros_is_damage() -> None:
    members, damage = collect(list_tar(io.BytesIO(make_tar(FILES) + bytes(1 << 20))))
    assert len(members) == len(FILES)
    assert "a part was not downloaded" in damage


def with_size(kind: bytes, size: int) -> bytes:
    """Returns a tar whose second header has a size in base 256."""
    archive = bytearray(make_tar({"a": b"", "b": b""}))
    header = archive[512:1024]
    header[156:157] = kind
    header[124:136] = (
        (size % (1 << 96) | 0x80 << 88).to_bytes(12, "big") if size >= 0 else size.to_bytes(12, "big", signed=True)
    )
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    archive[512:1024] = header
    return bytes(archive)


@pytest.mark.parametrize("kind", [b"0", b"L", b"x", b"S"])
@pytest.mark.parametrize("size", [-512, -1, 1 << 62, 1 << 33])
def test_bad_sizes_in_headers_are_damage(kind: bytes, size: int) -> None:
    members, damage = collect(list_tar(io.BytesIO(with_size(kind, size))))
    assert 1 <= len(members) <= 2
    # A sparse file is not read, whatever its size.
    assert damage or members[1].storing is Storing.UNREADABLE


def test_a_chain_of_long_names_is_damage() -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1
    link = info.tobuf(tarfile.GNU_FORMAT) + b"n".ljust(512, b"\0")
    members, damage = collect(list_tar(io.BytesIO(make_tar({"a": b""})[:512] + link * 3000)))
    assert len(members) == 1
    assert damage
