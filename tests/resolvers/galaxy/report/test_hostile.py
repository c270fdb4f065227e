"""Archives that mean harm, or were harmed on the way: a rejection, soon, and no memory to speak of."""

import gzip
import io
import tarfile
import time
import tracemalloc
import zlib

import pytest

from resolvers.galaxy.report.limits import Limits
from resolvers.galaxy.report.read_report import read_report
from tests.support.patience import within
from tests.support.reports import JOB, Reading, archive, entry, member, read, report, tar

GOOD = report(jobs=[JOB, *(f"{n}\tcat1\t1.0\tok\tNone" for n in range(100, 3000))])
JOBS = member("jobs", JOB)


def refusal(content: bytes, **options: object) -> str:
    """Why an archive is refused; fails when it is not, or when that takes long or much memory."""
    tracemalloc.start()
    began = time.process_time()
    reading = read(content, **options)
    took, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reading.summary.refused
    assert (reading.jobs, reading.summary.jobs, reading.summary.states) == ([], 0, {})
    assert took < within(1)
    assert peak < 32 * 1024 * 1024
    return f"{reading.rejections[-1].code}: {reading.rejections[-1].message}"


def taken(content: bytes) -> Reading:
    """Read an archive that is not refused."""
    reading = read(content)
    assert not reading.summary.refused
    return reading


TRUNCATED = "CORRUPT_ARCHIVE: The archive is truncated: the gzip data end too early."


def test_what_is_no_gzip_is_refused() -> None:
    assert refusal(b"hello").startswith("CORRUPT_ARCHIVE: The archive is not a valid gzip file: ")
    assert refusal(b"") == TRUNCATED
    assert refusal(gzip.compress(b"")).startswith("MISSING_MEMBER")


def test_an_archive_cut_anywhere_is_refused() -> None:
    for size in range(0, len(GOOD), 97):
        assert refusal(GOOD[:size]) == TRUNCATED
    assert refusal(GOOD[:-1]) == TRUNCATED


def test_a_tar_cut_within_a_member_or_a_header_is_refused() -> None:
    plain = tar(JOBS)

    truncated = "CORRUPT_ARCHIVE: The archive is truncated: it ends within"
    assert refusal(gzip.compress(plain[:520])) == f"{truncated} a member."
    assert refusal(gzip.compress(plain[:200])) == f"{truncated} a tar header."


def test_a_flipped_bit_is_refused() -> None:
    broken = bytearray(GOOD)
    broken[len(broken) // 2] ^= 16

    assert refusal(bytes(broken)).startswith("CORRUPT_ARCHIVE")


def test_a_wrong_checksum_of_the_gzip_file_is_refused() -> None:
    assert "incorrect data check" in refusal(GOOD[:-8] + b"1234" + GOOD[-4:])


def test_a_compression_bomb_is_refused_before_it_is_unzipped() -> None:
    bomb = archive(JOBS, entry("r/zeros", bytes(30_000_000)))

    assert refusal(bomb) == "CORRUPT_ARCHIVE: The archive expands to more than 150 times its size: a compression bomb."


def test_a_bomb_in_a_second_jobs_member_is_told_of_both() -> None:
    bomb = archive(JOBS, entry("r/x.jobs.tsv", bytes(30_000_000)))

    reading = read(bomb)

    assert reading.faults == [("jobs", 0, "UNSAFE_MEMBER"), ("", 0, "CORRUPT_ARCHIVE")]
    assert reading.summary.refused


def test_a_bomb_behind_the_end_of_the_tar_is_refused() -> None:
    assert "compression bomb" in refusal(gzip.compress(tar(JOBS) + bytes(30_000_000)))
    assert "compression bomb" in refusal(archive(JOBS) + gzip.compress(bytes(30_000_000)))


def test_an_archive_larger_than_allowed_is_refused() -> None:
    assert "more than 2000 bytes" in refusal(report(jobs=[JOB] * 100), limits=Limits(unzipped_bytes=2000))


@pytest.mark.parametrize("digits", [100, 60_000])
def test_a_pax_header_of_digits_is_refused_at_once(digits: int) -> None:
    records = b"1" * digits + b" a=b\n"

    flood = archive(entry("x", records, type=tarfile.XHDTYPE), JOBS, format=tarfile.USTAR_FORMAT)

    assert refusal(flood) == "CORRUPT_ARCHIVE: The archive has a PAX header that is not made of records."


def test_a_pax_header_without_a_size_or_an_end_is_refused() -> None:
    sized = archive(entry("x", b"10 size=x\n", type=tarfile.XHDTYPE), JOBS, format=tarfile.USTAR_FORMAT)
    whole = gzip.decompress(archive(entry("x", b"a" * 1_000, type=tarfile.XHDTYPE), JOBS, format=tarfile.USTAR_FORMAT))

    assert refusal(sized) == "CORRUPT_ARCHIVE: The archive has a PAX header whose size is not a number."
    assert refusal(gzip.compress(whole[:1_000])) == (
        "CORRUPT_ARCHIVE: The archive is truncated: it ends within an extension header."
    )


def test_a_long_pax_or_gnu_header_is_refused() -> None:
    for type in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
        flood = archive(entry("x", b"1" * 500_000, type=type), JOBS, format=tarfile.USTAR_FORMAT)
        assert "an extension header of 500000 bytes" in refusal(flood)


def test_more_headers_than_allowed_are_refused() -> None:
    records = b"11 path=abc\n"[:-1] + b"\n"
    headers = [entry("x", records.replace(b"11", b"12"), type=tarfile.XHDTYPE)] * 1001

    assert "more than 1000 entries" in refusal(archive(*headers, JOBS, format=tarfile.USTAR_FORMAT))
    assert "more than 1000 entries" in refusal(archive(*[entry("empty")] * 1001, JOBS))


def test_numbers_and_checksums_in_headers_are_not_trusted() -> None:
    plain = bytearray(tar(JOBS))
    negative = plain[:124] + b"\xff" * 12 + plain[136:]
    negative[148:156] = b"%06o\0 " % (sum(negative[:512]) - sum(negative[148:156]) + 256)
    wrong = plain[:148] + b"000000\0 " + plain[156:]

    no_tar = "CORRUPT_ARCHIVE: The archive contains no valid tar file:"
    assert refusal(gzip.compress(bytes(negative))) == f"{no_tar} a number in a header is not octal."
    assert refusal(gzip.compress(bytes(wrong))) == f"{no_tar} the checksum of a header is wrong."
    assert "no valid tar" in refusal(gzip.compress(b"no tar at all" * 100))


def test_a_member_that_claims_to_be_huge_is_refused() -> None:
    info, _ = entry("r.jobs.tsv")
    info.size = 10**12
    header = info.tobuf(format=tarfile.GNU_FORMAT)

    assert "truncated" in refusal(gzip.compress(header + b"id\t"))


@pytest.mark.parametrize(
    ("type", "said"),
    [
        (tarfile.SYMTYPE, "symbolic link"),
        (tarfile.LNKTYPE, "hard link"),
        (tarfile.FIFOTYPE, "neither a regular file"),
        (tarfile.CHRTYPE, "neither a regular file"),
        (tarfile.BLKTYPE, "neither a regular file"),
        (tarfile.GNUTYPE_SPARSE, "neither a regular file"),
    ],
)
def test_links_and_devices_are_rejected_and_the_rest_is_taken(type: bytes, said: str) -> None:
    link = entry("r/x.params.tsv", type=type, linkname="/etc/passwd")

    reading = taken(archive(link, JOBS))

    assert reading.faults == [("params", 0, "UNSAFE_MEMBER")]
    assert said in reading.rejections[0].message
    assert reading.summary.jobs == 1


@pytest.mark.parametrize("name", ["/etc/1.params.tsv", "../1.params.tsv", "a/../../1.params.tsv", "..\\1.params.tsv"])
def test_names_that_lead_elsewhere_are_rejected_and_the_rest_is_taken(name: str) -> None:
    reading = taken(archive(entry(name, b"job_id\tname\tvalue\n7\ta\t1\n"), JOBS))

    assert [(one.member, one.code) for one in reading.rejections] == [(name, "UNSAFE_MEMBER")]
    assert reading.summary.parameters == 0


def test_a_second_member_of_a_kind_is_rejected_and_the_first_one_taken() -> None:
    reading = taken(archive(JOBS, entry("other/2.jobs.tsv", b"id\n")))

    assert [(one.member, one.code) for one in reading.rejections] == [("other/2.jobs.tsv", "UNSAFE_MEMBER")]
    assert reading.summary.jobs == 1


def test_directories_and_other_files_are_passed_over() -> None:
    reading = taken(archive(entry("r", type=tarfile.DIRTYPE), entry("r/README", b"x" * 700), JOBS))

    assert reading.rejections == []
    assert reading.summary.jobs == 1


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_of_any_length_are_understood_in_all_formats(format: int) -> None:
    rows = b"id\ttool_id\ttool_version\tstate\tcreate_time\n" + JOB.encode() + b"\n"
    long = "/".join(["directory" * 5] * 5)[: 200 if format == tarfile.USTAR_FORMAT else 2000] + "/série/1.5.jobs.tsv"

    reading = taken(archive(entry(long, rows), format=format))

    assert (reading.summary.jobs, reading.rejections) == (1, [])


def test_a_gzip_file_in_parts_and_with_padding_is_read() -> None:
    plain = tar(JOBS)

    assert taken(gzip.compress(plain[:700]) + gzip.compress(plain[700:]) + bytes(1000)).summary.jobs == 1


def test_garbage_behind_the_gzip_file_is_refused() -> None:
    assert "not a valid gzip file" in refusal(archive(JOBS) + b"garbage")


def test_names_that_are_no_text_can_be_told() -> None:
    info, _ = entry("r")
    header = bytearray(info.tobuf(format=tarfile.USTAR_FORMAT))
    header[:14] = b"\xff\xfe.params.tsv\0"
    header[156:157] = b"2"
    header[148:156] = b"%06o\0 " % (sum(header) - sum(header[148:156]) + 256)

    reading = taken(gzip.compress(bytes(header) + tar(JOBS)))

    assert [(one.member, one.code) for one in reading.rejections] == [("\\xff\\xfe.params.tsv", "UNSAFE_MEMBER")]


def test_lines_of_zeros_and_empty_lines_cost_little() -> None:
    rows = b"id\ttool_id\ttool_version\tstate\tcreate_time\n" + bytes(7_000_000) + b"\n" * 50_000
    stored = zlib.compressobj(0, wbits=31)
    content = stored.compress(tar(entry("r.jobs.tsv", rows))) + stored.flush()

    began = time.process_time()
    reading = read(content, limits=Limits(listed_rejections=10))

    assert time.process_time() - began < within(3)
    assert reading.summary.rejected == 50_000
    assert reading.rejections[0].code == "TOO_LONG"


def test_a_source_that_fails_is_not_mistaken_for_a_bad_archive() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError("The disk is gone.")

    with pytest.raises(OSError, match="The disk is gone"):
        list(read_report(Broken(GOOD)))
