"""What the bytes of a file say before anything is decoded: what it is, whether it is whole, and of which parts it consists.

Headers are promises of whoever wrote them. A writer into a pipe cannot keep them, a count in an mp3 is an estimate, a file that was joined
from two has the header of the first. Here they are held against the file itself, without decoding: in the tail of a flac stands the number
of its last sample, an Ogg is a chain of pages, and a tag inside an mp3 begins another one.
"""

from __future__ import annotations

import codecs
import functools
import os
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

HEAD = 4096  # bytes by which a file is judged

MAX_CHANNELS = 1024  # libsndfile's

# ---------------------------------------------------------------------- what is not sound

_OTHERS = (
    (b"version https://git-lfs", "a git-LFS pointer, which stands for the recording; `git lfs pull` fetches that"),
    (b"PK\3\4", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a rar archive"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"%PDF", "a PDF document"),
    (b"\x93NUMPY", "a NumPy array; load it, and give (y, sr)"),
    (b"\x89HDF", "an HDF5 file"),
    (b"SQLite format 3", "an SQLite database"),
    (b"PAR1", "a parquet table"),
    (b"MThd", "a MIDI file: notes, and no sound"),
)
_SOUND = (b"RIFF", b"fLaC", b"OggS", b"FORM")  # unless it is text that begins so
_SOUND_THAT_BEGINS_AS_TEXT = (b"NIST_1A", b"PVF1", b"#!AMR", b"ALawSoundFile")


def _text(head: bytes) -> str:
    """The beginning of a file as text; "" if it is none."""
    if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        encoding = "utf-16"
    elif 0 in head:
        return ""
    else:
        encoding = "utf-8-sig"
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head)  # incremental: the last character may be cut
    except UnicodeDecodeError:
        return ""
    return text.strip() if all(c.isprintable() or c in "\r\n\t\f" for c in text) else ""


def other_kind(head: bytes) -> str:
    """What a file is that is no sound, by its first bytes; "" if they may be sound.

    >>> other_kind(b"<!DOCTYPE html><html><body>404")
    'an HTML page, perhaps the error page of a download'
    >>> other_kind(b"Speaker 1: hello")
    "text, which begins 'Speaker 1: hello'"
    """
    if head[:4] in _SOUND and 0 in head:
        return ""
    for magic, name in _OTHERS:
        if head.startswith(magic):
            return name
    if head.startswith(_SOUND_THAT_BEGINS_AS_TEXT):
        return ""
    text = _text(head)
    if not text:
        return ""
    lower = text.lower()
    if lower.startswith(("<!doctype html", "<html")) or "<html" in lower[:500]:
        return "an HTML page, perhaps the error page of a download"
    if lower.startswith("<"):
        return "XML"
    if lower.startswith(("#extm3u", "[playlist]")):
        return "a playlist, which names recordings elsewhere"
    if lower[0] in "{[":
        return "JSON"
    start = " ".join(text[:60].split())
    return f"text, which begins {start[:40]!r}"


# ---------------------------------------------------------------------- wav, aiff, w64, caf, au

# magic: where the first chunk begins, the head of a chunk (name, bytes), the name of the samples' chunk, the alignment of chunks
_CHUNKED = {
    b"RIFF": (12, "<4sI", b"data", 2),  # wav
    b"RF64": (12, "<4sI", b"data", 2),  # wav beyond 4 GiB
    b"RIFX": (12, ">4sI", b"data", 2),  # wav, big-endian
    b"FORM": (12, ">4sI", b"SSND", 2),  # aiff
    b"riff": (40, "<4s12xQ", b"data", 8),  # w64; its sizes count the head
    b"caff": (8, ">4sQ", b"data", 1),  # caf
}
# just below them are the sizes that writers into pipes leave
_UNFINISHED = (2**31, 2**32, 0x7F000000 + 2**16, 2**63, 2**64)
_SLACK = 2**16  # bytes: what they take off for the header


class SampleChunk(NamedTuple):
    """Where a header says that the samples are.

    Parameters
    ----------
    begin : int
        Their first byte.
    size : int
        Their number of bytes, as the header has it.
    field : int
        Where in the file that number stands.
    form : str
        How it is written there, for `struct`.
    follows : str
        Head of a chunk behind them, for `struct`; "" if there is none.
    """

    begin: int
    size: int
    field: int
    form: str
    follows: str = ""

    def missing(self, file_size: int) -> int:
        """Bytes that the file lacks of those that the header declares."""
        return max(0, self.begin + self.size - file_size)

    def is_unfinished(self, file: BinaryIO, file_size: int) -> bool:
        """Whether the size declares nothing: it was written into a pipe, or never filled in. The samples end with the file."""
        if self.size == 0:
            return self.begin < file_size and not self._chunks_follow(file, file_size)
        if not self.missing(file_size):
            return False
        return any(0 <= limit - self.size <= _SLACK for limit in _UNFINISHED)

    def _chunks_follow(self, file: BinaryIO, file_size: int) -> bool:
        """Whether there is nothing but chunks with names up to the end of the file: then there are no samples indeed."""
        at, width = self.begin, struct.calcsize(self.follows) if self.follows else 0
        while width and at + width <= file_size:
            file.seek(at)
            name, size = struct.unpack(self.follows, file.read(width))
            if not all(32 <= byte < 127 for byte in name):
                return False
            at += width + size + size % 2
        return bool(width) and file_size <= at <= file_size + 1


def sample_chunk(file: BinaryIO, file_size: int) -> SampleChunk | None:
    """Where the header of a wav, aiff, caf, w64 or au says that the samples are; None for any other file."""
    file.seek(0)
    magic = file.read(4)
    if magic in (b".snd", b"dns."):  # au, big- and little-endian
        order = "big" if magic == b".snd" else "little"
        begin, size = (int.from_bytes(file.read(4), order) for _ in range(2))
        return SampleChunk(begin, size, 8, ">I" if order == "big" else "<I")
    if magic not in _CHUNKED:
        return None
    at, head, samples, alignment = _CHUNKED[magic]
    width, long = struct.calcsize(head), None
    while at + width <= file_size:
        file.seek(at)
        name, size = struct.unpack(head, file.read(width))
        if magic == b"riff":
            size = max(0, size - width)
        if name == b"ds64":  # RF64 keeps the true size here
            long = at + width + 8, int.from_bytes(file.read(16)[8:], "little")
        if name == samples:
            if long and size == 0xFFFFFFFF:
                return SampleChunk(at + width, long[1], long[0], "<Q", head)
            number = head[0] + head[-1]
            return SampleChunk(at + width, size, at + width - struct.calcsize(number), number, head)
        at += width + size + -size % alignment
    return None


def wav_codec(head: bytes) -> int:
    """The number of the codec in a wav, by the beginning of the file; 0 for any other file."""
    at = head.find(b"fmt ") if head[:4] == b"RIFF" else -1
    return int.from_bytes(head[at + 8 : at + 10], "little") if at > 0 else 0


def pcm16(head: bytes) -> tuple[int, int]:
    """(sampling rate, channels) of a plain 16-bit wav, by the beginning of the file; zeros for any other file.

    >>> pcm16(b"RIFF....WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 2, 8000, 32000, 4, 16))
    (8000, 2)
    """
    if head[:4] != b"RIFF" or head[8:16] != b"WAVEfmt " or len(head) < 36:
        return 0, 0
    _, codec, channels, sr, _, width, bits = struct.unpack("<IHHIIHH", head[16:36])
    known = codec == 1 and bits == 16 and 1 <= channels <= MAX_CHANNELS and width == 2 * channels and sr < 2**31
    return (sr, channels) if known else (0, 0)


# ---------------------------------------------------------------------- flac

FLAC_TAIL = 2**16  # bytes in which the last frame is looked for where the header does not say how long frames are
_BLOCK_SIZES = {1: 192} | {i: 576 << (i - 2) for i in range(2, 6)} | {i: 256 << (i - 8) for i in range(8, 16)}


@functools.cache
def _crc8_table() -> bytes:
    """Of the polynomial x^8 + x^2 + x + 1."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte << 1) ^ (0x107 if byte & 0x80 else 0)
        table.append(byte)
    return bytes(table)


def _crc8(data: bytes) -> int:
    table, crc = _crc8_table(), 0
    for byte in data:
        crc = table[crc ^ byte]
    return crc


def _frame_end(header: bytes, block: int) -> int | None:
    """The sample behind a flac frame with this header; None if it is not one. block : samples of a frame where all are equal."""
    if len(header) < 16 or header[0] != 0xFF or header[1] & 0xFE != 0xF8 or header[3] & 1:
        return None
    size, rate = header[2] >> 4, header[2] & 15
    length = 1
    if header[4] & 0x80:  # the number of the frame, or of its first sample, as UTF-8 would write it
        length = 8 - (header[4] ^ 0xFF).bit_length()
        if not 2 <= length <= 7:
            return None
    number = header[4] & (0x7F >> length if length > 1 else 0x7F)
    for byte in header[5 : 4 + length]:
        if byte & 0xC0 != 0x80:
            return None
        number = number << 6 | byte & 0x3F
    at = 4 + length
    if size in (6, 7):
        samples = int.from_bytes(header[at : at + size - 5], "big") + 1
        at += size - 5
    else:
        samples = _BLOCK_SIZES.get(size, 0)
    at += {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if not samples or at >= len(header) or _crc8(header[:at]) != header[at]:
        return None
    return (number if header[1] & 1 else number * block) + samples


def flac_samples(file: BinaryIO, file_size: int) -> tuple[int, bool]:
    """(samples that a flac's header names, whether its last frame ends there); the file begins with `fLaC`."""
    file.seek(0)
    head = file.read(42)
    if len(head) < 42 or head[4] & 0x7F != 0:  # STREAMINFO comes first
        return 0, False
    total = int.from_bytes(head[18:26], "big") & (1 << 36) - 1
    longest = int.from_bytes(head[15:18], "big")
    block = int.from_bytes(head[10:12], "big")
    file.seek(max(42, file_size - (longest + 512 if longest else FLAC_TAIL)))
    tail = file.read()
    for sync in (b"\xff\xf8", b"\xff\xf9"):  # frames of one size, and of several
        at = len(tail)
        while total and (at := tail.rfind(sync, 0, at)) >= 0:
            if _frame_end(tail[at : at + 16].ljust(16, b"\0"), block) == total:
                return total, True
    return total, False


# ---------------------------------------------------------------------- Ogg


def _ogg_pages(data) -> Iterator[tuple[int, int, int, bytes, int]]:
    """(first byte, byte behind, flags, stream, its number in the stream) of each page, up to the first that is not whole."""
    at, size = 0, len(data)
    while at + 27 <= size and data[at : at + 4] == b"OggS":
        end = at + 27 + data[at + 26]
        if end > size:
            return
        end += sum(data[at + 27 : end])
        if end > size:
            return
        yield at, end, data[at + 5], bytes(data[at + 14 : at + 18]), int.from_bytes(data[at + 18 : at + 22], "little")
        at = end


def ogg_parts(data) -> tuple[list[tuple[int, int]], str]:
    """(first byte and byte behind of each part of an Ogg file, why it is not whole or "").

    Parameters
    ----------
    data : bytes or mmap
        The file. Parts are what was joined: each has headers of its own, and may be read for itself.
    """
    begins: list[int] = []  # of parts
    numbers: dict[bytes, int] = {}  # stream -> the number of its latest page
    end, was_first, problem = 0, False, ""
    for first, behind, flags, stream, number in _ogg_pages(data):
        is_first = bool(flags & 2)
        if is_first and not was_first:
            begins, numbers = [*begins, first], {}
        lost = number - numbers.get(stream, number - 1) - 1
        if lost > 0 and not is_first:
            problem = f"is damaged: {lost} of its pages are missing, at byte {first}"
            break
        numbers[stream], was_first, end = number, is_first, behind
    rest = data[end : end + HEAD]
    if not problem and rest.strip(b"\0") and not rest.startswith((b"TAG", b"ID3", b"APETAGEX")):
        what = "is cut inside a page" if rest.startswith(b"OggS") else "has bytes in it that do not belong there"
        problem = f"is damaged: it {what}, at byte {end} of {len(data)}"
    return list(zip(begins, [*begins[1:], end if problem else len(data)])), problem


# ---------------------------------------------------------------------- mp3

_SIDE = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}  # (MPEG 1, mono): bytes


def _tag_end(data, at: int) -> int:
    """The byte behind the ID3v2 tag at `at`; `at` if there is none."""
    head = data[at : at + 10]
    if len(head) < 10 or head[:3] != b"ID3" or head[3] > 4 or any(byte & 0x80 for byte in head[6:10]):
        return at
    size = functools.reduce(lambda n, byte: n << 7 | byte, head[6:10], 0)
    return at + 10 + size + (10 if head[5] & 0x10 else 0)


def _is_frame(head) -> bool:
    """Whether four bytes may begin a frame of MPEG audio."""
    return (
        len(head) == 4
        and head[0] == 0xFF
        and head[1] & 0xE0 == 0xE0
        and head[1] & 0x18 != 0x08  # version
        and head[1] & 0x06 != 0  # layer
        and head[2] & 0xF0 != 0xF0  # bit rate
        and head[2] & 0x0C != 0x0C  # sampling rate
    )


def mp3_parts(data) -> list[tuple[int, int]]:
    """First byte and byte behind of each part of an mp3: a tag in front of a frame begins another recording that was joined on.

    Parameters
    ----------
    data : bytes or mmap
        The file.
    """
    begins, at = [0], _tag_end(data, 0)
    while (at := data.find(b"ID3", at)) >= 0:
        behind = _tag_end(data, at)
        if behind > at and _is_frame(data[behind : behind + 4]):
            begins.append(at)
        at = max(behind, at + 3)
    return list(zip(begins, [*begins[1:], len(data)]))


def mp3_frames(head: bytes) -> int | None:
    """How many frames the Xing or Info tag in the first frame of an mp3 names; None if there is no tag.

    Parameters
    ----------
    head : bytes
        The beginning of the file, behind its ID3 tag.
    """
    if not _is_frame(head[:4]):
        return None
    at = 4 + _SIDE[head[1] & 0x08 == 0x08, head[3] >> 6 == 3]
    if head[at : at + 4] not in (b"Xing", b"Info") or not head[at + 7 : at + 8] or not head[at + 7] & 1:
        return None
    return int.from_bytes(head[at + 8 : at + 12], "big")


def behind_tags(file: BinaryIO, n: int = HEAD) -> bytes:
    """The first bytes of a file behind its ID3v2 tags."""
    at = 0
    while True:
        file.seek(at)
        head = file.read(10)
        behind = _tag_end(head, 0)
        if not behind:
            file.seek(at)
            return file.read(n)
        at += behind


def is_mpeg(head: bytes) -> bool:
    """Whether a file begins as mp3, mp2, AAC in ADTS or with their tag; libsndfile trusts the count in their headers."""
    return head[:3] == b"ID3" or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0)


def file_size_of(file: BinaryIO) -> int:
    """Bytes of an open file."""
    return file.seek(0, os.SEEK_END)
