import codecs
import pickle
from pathlib import Path

import numpy as np
import pyarrow.csv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.openimages.classes import MAX_CLASSES, Vocabulary, find_class, read_class_list, read_descriptions

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "real"
needs_real_data = pytest.mark.skipif(
    not REAL.is_dir(), reason="the real Open Images files are not beside the repository"
)
V3_CLASSES = "v3_official/classes/2017_11"

MIDS = st.from_regex(r"/[mg]/[0-9a-z_]{2,9}", fullmatch=True)
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


def read_real(name: str) -> dict[str, str]:
    return read_descriptions((REAL / name).read_bytes(), name)


def quote(field: str, always: bool) -> str:
    quoted = '"' + field.replace('"', '""') + '"'
    return quoted if always or any(mark in field for mark in ',"\r\n') else field


@given(
    classes=st.dictionaries(MIDS, NAMES, min_size=1),
    header=st.sampled_from(["", "LabelName,DisplayName", '"LabelName","DisplayName"', "Mid,Name", "MID (key),Title"]),
    bom=st.booleans(),
    data=st.data(),
)
def test_reads_every_form_of_descriptions(classes: dict[str, str], header: str, bom: bool, data: st.DataObject) -> None:
    rows = [header] if header else []
    for mid, name in classes.items():
        always = data.draw(st.booleans())
        rows.append(f"{quote(mid, always)},{quote(name, always)}")
    ends = [data.draw(st.sampled_from(["\n", "\r\n"])) for _ in rows[1:]] + [
        data.draw(st.sampled_from(["", "\n", "\r\n"]))
    ]
    text = "".join(row + end for row, end in zip(rows, ends, strict=True))
    read = read_descriptions(codecs.BOM_UTF8 * bom + text.encode(), "c.csv")
    assert list(read.items()) == list(classes.items())


@pytest.mark.parametrize("key", ["cat", "Label Name"])
def test_a_first_row_with_a_key_that_is_no_mid_is_data_where_no_row_has_mids(key: str) -> None:
    # Some write the header `Label Name`; `cat` is a class of a data set in the same layout.
    read = read_descriptions(f"{key},Cat\ndog,Dog\n".encode(), "c.csv")
    assert read == ({"dog": "Dog"} if key == "Label Name" else {"cat": "Cat", "dog": "Dog"})


def test_blank_lines_are_no_rows_and_identical_repeats_count_once() -> None:
    data = b"/m/b,B\n\n/m/a,A\n  \n/m/b,B\n"
    assert list(read_descriptions(data, "c.csv").items()) == [("/m/b", "B"), ("/m/a", "A")]


@pytest.mark.parametrize(
    ("data", "line", "words"),
    [
        (b"/m/a,A\r\n/m/b,caf\xe9\r\n", 2, "UTF-8"),
        (b"\xef\xbb\xbf/m/a,A\r/m/b,B\r/m/c,\xff", 3, "UTF-8"),
        ("/m/a,A\n".encode("utf-16"), 1, "UTF-8"),
        (b"/m/a,A\n/m/b,B\0\n", 2, "NUL"),
        (b"/m/a,A\n/m/b\n", 2, "1 fields"),
        (b"/m/a,A\n\n/m/b,Foo, bar\n", 3, "3 fields"),
        (b'/m/a,"A\nA"\n ,B\n', 3, "MID is empty"),
        (b"/m/a,A\n/m/b,B\n/m/a,C\n", 3, "'A' on line 1"),
        (b'/m/a,A\n/m/b,"B\n/m/c,C\n', 2, "starts here"),
        (b'/m/a,"A"x\n', 1, "starts here"),
        (b"", None, "no class"),
        (b"LabelName,DisplayName\n", None, "no class"),
    ],
)
def test_unusable_descriptions_are_refused_with_their_line(data: bytes, line: int | None, words: str) -> None:
    with pytest.raises(InputError) as caught:
        read_descriptions(data, "d/c.csv")
    assert (caught.value.path, caught.value.line) == ("d/c.csv", line)
    assert words in str(caught.value)


def test_reads_class_lists_as_lines_and_as_csv() -> None:
    assert read_class_list(b"/m/b\r\n\r\n/m/a \n\n/g/c", "classes.txt") == ["/m/b", "/m/a", "/g/c"]
    assert read_class_list(b'LabelName,DisplayName\n/m/b,"B, b"\n/m/a,A\n', "c.csv") == ["/m/b", "/m/a"]


@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_a_header_or_byte_order_mark_where_files_were_joined_is_no_class(start: str) -> None:
    data = f"LabelName,DisplayName\n/m/b,B\n{start}LabelName,DisplayName\n{start}/m/a,A\n".encode()
    assert read_class_list(data, "c.csv") == ["/m/b", "/m/a"]
    assert read_descriptions(data, "c.csv") == {"/m/b": "B", "/m/a": "A"}


@pytest.mark.parametrize(
    "text",
    [
        "DisplayName,LabelName\nB,/m/b\nA,/m/a\n",
        ",LabelName,DisplayName\n0,/m/b,B\n1,/m/a,A\n",
        "LabelName,DisplayName,\n/m/b,B,\n/m/a,A,\n",
        "LabelName,Boxes,DisplayName\n/m/b,2,B\n/m/a,1,A\n",
    ],
)
def test_the_header_says_where_mids_and_names_are(text: str) -> None:
    assert read_class_list(text.encode(), "c.csv") == ["/m/b", "/m/a"]
    assert read_descriptions(text.encode(), "c.csv") == {"/m/b": "B", "/m/a": "A"}


@pytest.mark.parametrize(
    ("data", "line", "words"),
    [
        (b"DisplayName,LabelName\nA,/m/a\nB\n", 3, "1 fields, and the header has 2"),
        (b"/m/b\n\n/m/a\n/m/b\n", 4, "on line 1"),
        (b"/m/a\n,A\n", 2, "MID is empty"),
        (b"\n\n", None, "no class"),
        (b"/m/a\n\xff\n", 2, "UTF-8"),
    ],
)
def test_unusable_class_lists_are_refused_with_their_line(data: bytes, line: int | None, words: str) -> None:
    with pytest.raises(InputError) as caught:
        read_class_list(data, "classes.txt")
    assert caught.value.line == line
    assert words in str(caught.value)


@given(known=st.sets(MIDS), name=st.lists(MIDS | st.none()))
def test_codes_are_places_in_the_vocabulary(known: set[str], name: list[str | None]) -> None:
    vocabulary = Vocabulary.of(dict.fromkeys(known, "name"), sorted(known, reverse=True))
    mids = [*name, *known]
    codes = vocabulary.codes(mids)
    assert codes.dtype == np.int32
    assert len(vocabulary) == len(known)
    for mid, code in zip(mids, codes, strict=True):
        assert code == -1 if mid not in known else vocabulary.mids[code] == mid


def test_codes_do_not_depend_on_the_order_of_the_sources() -> None:
    assert Vocabulary.of(["/m/b", "/m/a"], ["/m/c"]) == Vocabulary.of({"/m/c": "C"}, ["/m/a"], ["/m/b", "/m/c"])


def test_a_pickled_vocabulary_carries_its_mids_once() -> None:
    vocabulary = Vocabulary.of(f"/m/{number:06x}" for number in range(20_000))
    vocabulary.codes(["/m/000001"])
    pickled = pickle.dumps(vocabulary)
    assert pickle.loads(pickled) == vocabulary
    assert len(pickled) < 1.2 * len(pickle.dumps(vocabulary.mids))


def test_a_vocabulary_holds_as_many_classes_as_16_bit_codes() -> None:
    mids = tuple(f"/m/{number:05x}" for number in range(2**16 - 1))
    assert Vocabulary(mids).codes(mids[-1:]).astype(np.uint16) == 2**16 - 2
    with pytest.raises(ConfigError, match=str(MAX_CLASSES)):
        Vocabulary((*mids, "/m/x"))
    with pytest.raises(ValueError, match="twice"):
        Vocabulary(("/m/a", "/m/a"))


DESCRIPTIONS = {"/m/0cvnqh": "Bench", "/m/0b_rs": "Bench", "/m/01g317": "Person", "/m/0k0pj": "Café"}


@pytest.mark.parametrize(
    ("name", "mid"),
    [("/m/0b_rs", "/m/0b_rs"), ("person", "/m/01g317"), (" PERSON ", "/m/01g317"), ("CAFÉ", "/m/0k0pj")],
)
def test_finds_a_class_by_mid_or_name(name: str, mid: str) -> None:
    assert find_class(name, DESCRIPTIONS) == mid


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bench", "/m/0cvnqh, /m/0b_rs"),
        ("Persn", "did you mean 'person'"),
        ("/m/01g31", "did you mean '/m/01g317'"),
        ("zzzzzz", "no class 'zzzzzz'"),
    ],
)
def test_names_the_candidates_of_an_unclear_class(name: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_class(name, DESCRIPTIONS)
    assert words in str(caught.value)


@needs_real_data
@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("v1/dict.csv", False),
        (f"{V3_CLASSES}/class-descriptions.csv", False),
        ("v4/class-descriptions-boxable.csv", False),
        ("v5/class-descriptions-boxable.csv", False),
        ("v6/oidv6-class-descriptions.csv", True),
        ("v7/oidv7-class-descriptions-boxable.csv", True),
    ],
)
def test_real_descriptions_agree_with_another_csv_reader(name: str, header: bool) -> None:
    table = pyarrow.csv.read_csv(
        REAL / name,
        read_options=pyarrow.csv.ReadOptions(column_names=["mid", "name"], skip_rows=int(header)),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(column_types={"mid": "string", "name": "string"}, null_values=[]),
    )
    mids, names = (column.to_pylist() for column in table.columns)
    assert list(read_real(name).items()) == list(zip(mids, names, strict=True))


@needs_real_data
def test_v3_with_its_mixed_line_ends_has_the_published_classes() -> None:
    data = (REAL / V3_CLASSES / "class-descriptions.csv").read_bytes()
    assert 0 < data.count(b"\r\n") < data.count(b"\n")
    descriptions = read_descriptions(data, "class-descriptions.csv")
    # The numbers are those of the V3 README: 19,995 image-level classes, 5,000 and 545 of them trainable.
    assert len(descriptions) == 19_995
    assert not any("\r" in name or "\n" in name for name in descriptions.values())
    listed = read_class_list((REAL / V3_CLASSES / "classes.txt").read_bytes(), "classes.txt")
    assert set(listed) == set(descriptions)
    for name, size in [("classes-trainable.txt", 5000), ("classes-bbox-trainable.txt", 545)]:
        trainable = read_class_list((REAL / V3_CLASSES / name).read_bytes(), name)
        assert len(trainable) == size
        assert set(trainable) < set(descriptions)
    assert len(Vocabulary.of(descriptions, listed)) == 19_995


@needs_real_data
def test_the_header_of_v7_is_no_class() -> None:
    v7 = read_real("v7/oidv7-class-descriptions-boxable.csv")
    assert set(v7) == set(read_real("v4/class-descriptions-boxable.csv"))
    assert "LabelName" not in v7


@pytest.mark.parametrize(("separator", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
def test_another_separator_is_named(separator: str, name: str) -> None:
    data = f"/m/018xm{separator}Ball\n/m/01g317{separator}Person\n".encode()
    for read in (read_class_list, read_descriptions):
        with pytest.raises(InputError, match=f"separated by {name}, not by commas"):
            read(data, "classes.csv")
