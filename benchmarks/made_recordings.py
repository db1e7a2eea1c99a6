"""Recordings of every kind that people have, made here by code: whole ones, ones written into pipes, joined, cut, damaged, and what is no sound.

    for kind in made(): kind.name, kind.data, kind.samples, kind.status      # "ogg chained.ogg", the bytes, 132300, "read"

PyAV and soundfile encode where they can; headers, tags and the bits of a flac are written by hand. `benchmarks/recordings.py` prints what is
read of them, tests/audio/test_recordings.py holds it against what went in.
"""

from __future__ import annotations

import functools
import io
import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

SR, SECONDS = 44100, 1.5
N = round(SR * SECONDS)


class Kind(NamedTuple):
    """A recording that was made.

    Parameters
    ----------
    name : str
        Of the file.
    data : bytes
        The file.
    status : str
        What is right: "read", "damaged" (refused, and read in part where that is asked for) or "refused".
    samples : int
        How many samples went in, a channel; of "damaged" the least that has to come out.
    slack : int
        How many more a lossy codec may give.
    copies : int
        How often the sound went in.
    """

    name: str
    data: bytes
    status: str = "read"
    samples: int = N
    slack: int = 0
    copies: int = 1


def sound(sr: int = SR) -> np.ndarray:
    """float32 `(samples, 2)` that no codec mistakes: a sweep under a pulse that comes and goes, softer on the right."""
    t = np.arange(round(SECONDS * sr)) / sr
    y = 0.4 * np.sin(2 * np.pi * (200 * t + 900 * t**2)) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * t))
    return np.stack([y, 0.5 * y], axis=1).astype(np.float32)


def aligned(y: np.ndarray, sr: int) -> tuple[np.ndarray, np.ndarray]:
    """The parts of the sound, in mono, and of samples that lie over each other where the two correlate most."""
    x = sound(sr).mean(axis=1)
    size = 2 * max(len(x), len(y))
    both = np.fft.irfft(np.conj(np.fft.rfft(x, size)) * np.fft.rfft(y, size), size)
    at = int(np.argmax(both))
    lag = at - size if at > size // 2 else at
    a, b = x[max(0, -lag) :], y[max(0, lag) :]
    n = min(len(a), len(b))
    return a[:n], b[:n]


def encode(
    muxer: str,
    codec: str,
    sr: int = SR,
    channels: int = 2,
    options: dict | None = None,
    video: bool = False,
    **settings,
) -> bytes:
    """`sound` as FFmpeg's libraries write it. settings : attributes of the codec, such as bit_rate."""
    import av

    out = io.BytesIO()
    out.name = f"made.{muxer}"
    with av.open(out, "w", format=muxer, options=options or {}) as container:
        stream = container.add_stream(codec, rate=sr, layout="stereo" if channels == 2 else "mono")
        for name, value in settings.items():
            setattr(stream.codec_context, name, value)
        if video:
            pictures = container.add_stream("mpeg4", rate=10)
            pictures.width, pictures.height, pictures.pix_fmt = 64, 64, "yuv420p"
            for _ in range(round(10 * SECONDS)):
                container.mux(pictures.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))))
            container.mux(pictures.encode(None))
        frame = av.AudioFrame.from_ndarray(
            np.round(sound(sr)[:, :channels] * 32767).astype("<i2").reshape(1, -1),
            format="s16",
            layout="stereo" if channels == 2 else "mono",
        )
        frame.sample_rate, frame.pts = sr, 0
        size = stream.codec_context.frame_size or 1024
        kinds = [f.name for f in stream.codec_context.codec.audio_formats]
        resampler = av.AudioResampler(
            format="s16" if "s16" in kinds else kinds[0], layout=frame.layout, rate=sr, frame_size=size
        )
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return out.getvalue()


def written(kind: str, subtype: str | None = None, y: np.ndarray | None = None, sr: int = SR) -> bytes:
    """`sound` as libsndfile writes it."""
    import soundfile

    out = io.BytesIO()
    soundfile.write(out, sound(sr) if y is None else y, sr, format=kind, subtype=subtype)
    return out.getvalue()


# ---------------------------------------------------------------------- by hand


def id3(size: int) -> bytes:
    """An ID3v2 tag with a cover of so many bytes."""
    cover = b"\0image/jpeg\0\3\0" + bytes(range(256)) * (size // 256)
    body = b"APIC" + len(cover).to_bytes(4, "big") + b"\0\0" + cover
    return b"ID3\3\0\0" + bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0)) + body


def patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def sized(data: bytes, at: int, size: int, order: str = "little", width: int = 4) -> bytes:
    """The file with another number of bytes in its header."""
    return patched(data, at, size.to_bytes(width, order))


def flac_claiming(data: bytes, samples: int) -> bytes:
    """A flac whose header names another number of samples (36 bits)."""
    word = int.from_bytes(data[18:26], "big")
    return patched(data, 18, (word >> 36 << 36 | samples).to_bytes(8, "big"))


@functools.cache
def _crc_table(polynomial: int, bits: int) -> list[int]:
    table, top = [], 1 << (bits - 1)
    for byte in range(256):
        crc = byte << (bits - 8)
        for _ in range(8):
            crc = ((crc << 1) ^ polynomial if crc & top else crc << 1) & (1 << bits) - 1
        table.append(crc)
    return table


def _crc(data: bytes, polynomial: int, bits: int) -> int:
    table, crc, mask = _crc_table(polynomial, bits), 0, (1 << bits) - 1
    for byte in data:
        crc = (crc << 8 ^ table[crc >> (bits - 8) ^ byte]) & mask
    return crc


def flac_of_bits(bits: int, block: int = 4410) -> bytes:
    """A flac of so many bits a sample, in one channel and not compressed: libsndfile knows 8, 16 and 24."""
    y = np.round(sound()[:, 0].astype(np.float64) * (2 ** (bits - 1) - 1)).astype(np.int64)
    info = (
        struct.pack(">HH", block, block)
        + bytes(6)
        + (SR << 44 | (bits - 1) << 36 | len(y)).to_bytes(8, "big")
        + bytes(16)
    )
    frames = []
    for number, first in enumerate(range(0, len(y), block)):
        part = y[first : first + block]
        head = b"\xff\xf8\x70\x00" + bytes([number]) + struct.pack(">H", len(part) - 1)  # fewer than 128 frames
        head += bytes([_crc(head, 0x07, 8)])
        packed = int("1" + "".join(format(int(v) & (1 << bits) - 1, f"0{bits}b") for v in part), 2)
        size = -(-bits * len(part) // 8)
        body = ((packed << size * 8 - bits * len(part)) & (1 << size * 8) - 1).to_bytes(size, "big")
        frame = head + b"\x02" + body
        frames.append(frame + _crc(frame, 0x8005, 16).to_bytes(2, "big"))
    return b"fLaC\x80" + len(info).to_bytes(3, "big") + info + b"".join(frames)


def riff(tag: int, data: bytes, channels: int = 2) -> bytes:
    """A wav of bytes that another codec wrote."""
    fmt = struct.pack("<HHIIHHH", tag, channels, SR, 16000, 1, 0, 0)
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


# ---------------------------------------------------------------------- all of them


def _mpeg() -> Iterator[Kind]:
    bare = {"options": {"write_xing": "0", "id3v2_version": "0"}}
    frames = 2 * 1152 + 1105  # a decoder without a count gives the encoder's delay and the last frame's rest too
    whole = encode("mp3", "libmp3lame", bit_rate=128000)
    cbr = encode("mp3", "libmp3lame", bit_rate=128000, **bare)
    vbr = encode("mp3", "libmp3lame", bit_rate=0, global_quality=4 * 118, qscale=True, **bare)
    yield Kind("mp3 with its count.mp3", whole)
    yield Kind("mp3 without a count.mp3", cbr, slack=frames)
    yield Kind(
        "mp3 of 22 kHz without a count.mp3",
        encode("mp3", "libmp3lame", 22050, bit_rate=64000, **bare),
        "read",
        N // 2,
        frames,
    )
    yield Kind("mp3 of variable bit rate.mp3", vbr, slack=frames)
    yield Kind("mp3 with a cover.mp3", id3(200_000) + cbr, slack=frames)
    yield Kind("mp3 with tags behind.mp3", cbr + b"TAG" + bytes(125), slack=frames)
    yield Kind("mp3 joined of two.mp3", whole + whole, "read", 2 * N, 0, 2)
    yield Kind("mp3 joined, each with a cover.mp3", id3(50_000) + cbr + id3(50_000) + cbr, "read", 2 * N, 2 * frames, 2)
    yield Kind("mp3 in riff.wav", encode("wav", "libmp3lame", bit_rate=128000), slack=frames)
    yield Kind("mp3 under another name.wav", cbr, slack=frames)
    yield Kind("mp2.mp2", encode("mp2", "mp2", bit_rate=192000), slack=frames)
    yield Kind("mp3 cut.mp3", whole[: len(whole) // 2], "damaged", N // 3)
    middle = len(cbr) // 2
    yield Kind("mp3 with foreign bytes.mp3", cbr[:middle] + b"\x55" * 3000 + cbr[middle:], "damaged", N // 3)


def _telephones() -> Iterator[Kind]:
    aac = encode("adts", "aac", bit_rate=128000)
    yield Kind("aac.m4a", encode("ipod", "aac", bit_rate=128000), slack=1024)
    yield Kind(
        "aac in pieces.m4a",
        encode("mp4", "aac", options={"movflags": "frag_keyframe+empty_moov"}, bit_rate=128000),
        slack=2048,
    )
    yield Kind("alac.m4a", encode("ipod", "alac"))
    yield Kind("video with sound.mp4", encode("mp4", "aac", video=True, bit_rate=128000), slack=1024)
    yield Kind("camera.mov", encode("mov", "pcm_s16le", video=True))
    yield Kind("aac.aac", aac, slack=2048)
    yield Kind("aac under another name.wav", aac, slack=2048)
    yield Kind("aac in wav.wav", riff(0x1600, aac), slack=2048)
    yield Kind("windows.wma", encode("asf", "wmav2", bit_rate=128000), samples=N - 2048, slack=4096)
    yield Kind("browser.webm", encode("webm", "libopus", 48000, bit_rate=96000), samples=N * 48000 // SR, slack=960)
    yield Kind("flac.mka", encode("matroska", "flac"))
    yield Kind("amr.amr", b"#!AMR\n" + (b"\x04" + bytes(12)) * 75, samples=75 * 160)
    yield Kind("index lost.m4a", encode("ipod", "aac", bit_rate=128000)[:9000], "refused")


def _flac() -> Iterator[Kind]:
    flac = written("FLAC", "PCM_16")
    yield Kind("flac.flac", flac)
    for bits in (12, 20, 32):
        yield Kind(f"flac of {bits} bits.flac", flac_of_bits(bits))
    yield Kind("flac from a pipe.flac", flac_claiming(flac, 0))
    yield Kind("flac that says less.flac", flac_claiming(flac, 1000))
    yield Kind("flac that says more.flac", flac_claiming(flac, 10**9))
    yield Kind("flac in Ogg.oga", encode("ogg", "flac"))
    yield Kind("flac cut.flac", flac[: len(flac) * 2 // 3], "damaged", N // 3)
    half = len(flac) // 2
    yield Kind("flac with a bad frame.flac", flac[:half] + bytes(50) + flac[half + 50 :], "damaged", N // 4)


def _ogg() -> Iterator[Kind]:
    vorbis, opus = written("OGG", "VORBIS"), written("OGG", "OPUS", sound(48000), 48000)
    at48 = N * 48000 // SR
    yield Kind("vorbis.ogg", vorbis)
    yield Kind("opus.opus", opus, samples=at48)
    yield Kind("vorbis joined.ogg", vorbis + written("OGG", "VORBIS"), "read", 2 * N, 0, 2)
    yield Kind("opus joined.opus", opus + opus, "read", 2 * at48, 0, 2)
    pages = [i for i in range(len(vorbis)) if vorbis.startswith(b"OggS", i)]
    last = pages[-1]
    yield Kind("ogg cut inside a page.ogg", vorbis[: last + 200], "damaged", N // 4)
    yield Kind("ogg with foreign bytes.ogg", vorbis[:last] + b"not an Ogg page" * 20 + vorbis[last:], "damaged", N // 4)
    long = written("OGG", "VORBIS", np.tile(sound(), (8, 1)))
    pages = [i for i in range(len(long)) if long.startswith(b"OggS", i)]
    yield Kind("ogg without one of its pages.ogg", long[: pages[-3]] + long[pages[-2] :], "damaged", N)


def _pipes() -> Iterator[Kind]:
    wav, rf64, w64 = written("WAV", "PCM_16"), written("RF64", "PCM_16"), written("W64", "PCM_16")
    au, caf, aiff = written("AU", "PCM_16"), written("CAF", "PCM_16"), written("AIFF", "PCM_16")
    yield Kind("wav.wav", wav)
    for size in (0, 0xFFFFFFFF, 0xFFFFFF9B, 0x7FFFFFFF, 0x7FFFF000, 0x80000000):
        yield Kind(f"wav of {size:#x}.wav", sized(wav, 40, size))
    for size in (0, 2**64 - 1):
        yield Kind(f"rf64 of {size:#x}.rf64", sized(rf64, rf64.index(b"ds64") + 16, size, width=8))
    for size in (0, 2**63 - 2, 2**64 - 1):
        yield Kind(f"w64 of {size:#x}.w64", sized(w64, w64.index(b"data") + 16, size, width=8))
    yield Kind("au without a size.au", sized(au, 8, 2**32 - 1, "big"))
    yield Kind("caf without a size.caf", sized(caf, caf.index(b"data") + 4, 2**64 - 1, "big", 8))
    yield Kind("aiff without a size.aiff", sized(aiff, aiff.index(b"SSND") + 4, 0, "big"))
    yield Kind("wav cut.wav", wav[: len(wav) // 2], "damaged", N // 2 - 50)


def _others() -> Iterator[Kind]:
    texts = {
        "page.mp3": b"<!DOCTYPE html><html><head><title>404</title></head></html>",
        "feed.ogg": b"<?xml version='1.0'?><rss></rss>",
        "pointer.wav": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        "archive.flac": b"PK\3\4" + bytes(200),
        "answer.wav": b'{"error": "quota exceeded"}',
        "notes.m4a": b"This is what was said at the meeting.\n" * 20,
        "zeros.wav": bytes(5000),
        "bare.raw": np.round(sound() * 32767).astype("<i2").tobytes(),
        "noise.mp3": np.random.default_rng(0).bytes(20000),
    }
    for name, data in texts.items():
        yield Kind(name, data, "refused", 0)


def made() -> list[Kind]:
    """Every kind, each once."""
    return [kind for group in (_mpeg, _telephones, _flac, _ogg, _pipes, _others) for kind in group()]
