"""The exact bytes of the runtime's tars, against the standard library's and against a reader of plain blocks."""

import io
import tarfile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from spout import tar
from spout.records import File

LEGAL = "".join(chr(c) for c in range(33, 127) if chr(c) not in "*?[]{}!()@+^/")
PARTS = st.text(LEGAL, min_size=1, max_size=120).filter(lambda part: part.strip("."))
PATHS = st.lists(PARTS, min_size=1, max_size=6).map("/".join)
SIZES = st.integers(0, 8**11 - 1)
EIGHT_GIB = 8**11


def library_header(path, size, form):
    info = tarfile.TarInfo(path)
    info.size = size
    return info.tobuf(form, "ascii", "strict")


def archive(files):
    return b"".join(tar.archive([File(path, len(data), [data]) for path, data in files]))


@given(st.text(LEGAL, min_size=1, max_size=100), SIZES)
@example("a", 0)
@example("a" * 100, EIGHT_GIB - 1)
@example("a b:c", 511)
def test_a_short_name_is_one_ustar_block_as_the_library_writes_it(name, size):
    assert tar.header(name, size) == library_header(name, size, tarfile.USTAR_FORMAT)


@given(PATHS, SIZES)
@example("a/" + "b" * 100, 1)
@example("a" * 155 + "/" + "b" * 100, 1)
@example("a" * 156 + "/" + "b" * 100, 1)
@example("a/" + "b" * 101, 1)
@example("b" * 101, 1)
@example("/".join(["c" * 49] * 5), 1)
@example("/".join(["c" * 49] * 6), 1)
def test_any_name_is_ustar_where_that_can_be_and_pax_where_not(path, size):
    try:
        expected = library_header(path, size, tarfile.USTAR_FORMAT)
    except ValueError:
        expected = library_header(path, size, tarfile.PAX_FORMAT)
    assert tar.header(path, size) == expected


@pytest.mark.parametrize("length", range(990, 1010))
def test_a_pax_record_counts_its_own_digits(length):
    name = "n" * length
    assert tar.header(name, 0) == library_header(name, 0, tarfile.PAX_FORMAT)


@pytest.mark.parametrize("name", ["mymark", "n" * 101])
def test_a_size_from_8_gib_on_is_pax(name):
    assert tar.header(name, EIGHT_GIB) == library_header(name, EIGHT_GIB, tarfile.PAX_FORMAT)


def test_a_name_that_is_not_ascii_never_reaches_the_pipe():
    with pytest.raises(UnicodeEncodeError):
        tar.header("é", 0)


@given(st.lists(st.tuples(PATHS, st.binary(max_size=1500)), max_size=5))
def test_the_library_reads_back_what_was_written(files):
    with tarfile.open(fileobj=io.BytesIO(archive(files)), mode="r:") as read:
        found = [(member, read.extractfile(member).read()) for member in read]
    assert [(member.name, data) for member, data in found] == files
    for member, _ in found:
        facts = (member.type, member.mode, member.mtime, member.uid, member.gid, member.uname, member.linkname)
        assert facts == (tarfile.REGTYPE, 0o644, 0, 0, 0, "", "")


@given(st.lists(st.tuples(st.text(LEGAL, min_size=1, max_size=100), st.binary(max_size=1500)), max_size=5))
@example([("a", b"")])
@example([("a", bytes(512)), ("b", b"x" * 513)])
def test_block_by_block_nothing_but_the_files_and_two_zero_blocks(files):
    blocks = io.BytesIO(archive(files))
    for name, data in files:
        header = blocks.read(512)
        assert header[:100].rstrip(b"\0").decode() == name
        assert header[100:108] == b"0000644\0"
        assert int(header[124:135], 8) == len(data)
        assert header[136:148] == b"00000000000\0"
        assert int(header[148:154], 8) == sum(header[:148] + b" " * 8 + header[156:])
        assert header[156:157] == b"0"
        assert header[257:265] == b"ustar\x0000"
        assert blocks.read(len(data)) == data
        assert blocks.read(-len(data) % 512).strip(b"\0") == b""
    assert blocks.read() == bytes(1024)


def test_the_same_files_give_the_same_bytes_however_they_are_cut_into_chunks():
    data = bytes(range(256)) * 10
    pieces = [data[at : at + 7] for at in range(0, len(data), 7)]
    assert b"".join(tar.archive([File("a", len(data), pieces)])) == archive([("a", data)])
