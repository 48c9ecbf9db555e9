"""The codecs: round trips, what other implementations write, and what must not be inflated."""

import contextlib
import gzip
import resource
import struct
import zlib

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.protocol.errors import ErrorCode, KafkaError
from ottla.records.compression import Codec, compress, decompress

MIB = 1 << 20
COMPRESSED = [Codec.gzip, Codec.snappy, Codec.lz4, Codec.zstd]
TEXT = b"the quick brown fox jumps over the lazy dog " * 3000


def refusal(codec: int, data: bytes, max_bytes: int = MIB) -> ErrorCode:
    with pytest.raises(KafkaError) as caught:
        decompress(codec, data, max_bytes)
    return caught.value.code


@pytest.mark.parametrize("codec", list(Codec))
@given(data=st.binary(max_size=2000), repeat=st.integers(1, 60))
def test_round_trip(codec: Codec, data: bytes, repeat: int) -> None:
    data *= repeat
    assert decompress(codec, compress(codec, data), len(data)) == data


@pytest.mark.parametrize("codec", list(Codec))
def test_the_bound_is_exact(codec: Codec) -> None:
    packed = compress(codec, TEXT)
    assert decompress(codec, packed, len(TEXT)) == TEXT
    for bound in (len(TEXT) - 1, 1, 0):
        assert refusal(codec, packed, bound) == ErrorCode.message_too_large


@pytest.mark.parametrize(
    ("codec", "levels"), [(Codec.gzip, (-1, 1, 9)), (Codec.lz4, (1, 9, 17)), (Codec.zstd, (-131072, 3, 22))]
)
def test_levels(codec: Codec, levels: tuple[int, ...]) -> None:
    packed = [compress(codec, TEXT, level) for level in levels]
    assert {decompress(codec, data, len(TEXT)) for data in packed} == {TEXT}


def test_a_level_changes_the_result() -> None:
    assert len(compress(Codec.zstd, TEXT, -1000)) > len(compress(Codec.zstd, TEXT, 19))
    assert len(compress(Codec.gzip, TEXT, 1)) > len(compress(Codec.gzip, TEXT, 9))


def test_unknown_codecs() -> None:
    assert refusal(5, b"x") == ErrorCode.unsupported_compression_type
    with pytest.raises(KafkaError) as caught:
        compress(6, b"x")
    assert caught.value.code == ErrorCode.unsupported_compression_type


@pytest.mark.parametrize("codec", COMPRESSED)
def test_every_truncation_is_refused(codec: Codec) -> None:
    packed = compress(codec, TEXT[:5000] + bytes(range(256)))
    for end in range(len(packed)):
        if codec == Codec.snappy and end == 16:
            continue  # a stream header without blocks is a whole, empty stream
        assert refusal(codec, packed[:end]) in (ErrorCode.corrupt_message, ErrorCode.message_too_large)


@pytest.mark.parametrize("codec", COMPRESSED)
@given(data=st.binary(max_size=300), prefix=st.integers(0, 24))
def test_garbage_raises_nothing_but_refusals(codec: Codec, data: bytes, prefix: int) -> None:
    with contextlib.suppress(KafkaError):
        decompress(codec, compress(codec, TEXT)[:prefix] + data, 10_000)


@pytest.mark.parametrize("codec", COMPRESSED)
def test_concatenated_streams(codec: Codec) -> None:
    packed = compress(codec, b"one") + compress(codec, TEXT)
    assert decompress(codec, packed, MIB) == b"one" + TEXT
    assert refusal(codec, packed, len(TEXT)) == ErrorCode.message_too_large


def test_gzip_with_trailing_garbage_is_refused() -> None:
    assert refusal(Codec.gzip, gzip.compress(b"x") + b"junk") == ErrorCode.corrupt_message


def test_bare_snappy_blocks_are_read() -> None:
    assert decompress(Codec.snappy, bytes(cramjam.snappy.compress_raw(TEXT)), MIB) == TEXT


def test_snappy_is_written_in_the_framing_of_java_clients() -> None:
    packed = compress(Codec.snappy, TEXT)
    assert packed.startswith(b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01")
    (length,) = struct.unpack_from(">i", packed, 16)
    assert len(bytes(cramjam.snappy.decompress_raw(packed[20 : 20 + length]))) == 32 * 1024


def test_lz4_blocks_are_independent() -> None:
    assert compress(Codec.lz4, TEXT)[4] & 0x20
    linked = cramjam.lz4.Compressor(block_linked=True)
    linked.compress(TEXT)
    assert refusal(Codec.lz4, bytes(linked.finish())) == ErrorCode.corrupt_message


def zstd_frame(blocks: int, *, window_log: int = 17, block: bytes = b"\0") -> bytes:
    """A frame without content size whose blocks each repeat one byte 128 Ki times in 4 bytes."""
    frame = b"\x28\xb5\x2f\xfd\x00" + bytes([(window_log - 10) << 3])
    for index in range(blocks):
        is_last = index == blocks - 1
        frame += (131_072 << 3 | 1 << 1 | is_last).to_bytes(3, "little") + block
    return frame


def test_zstd_without_content_size() -> None:
    assert decompress(Codec.zstd, zstd_frame(5), MIB) == bytes(5 * 131_072)


def test_snappy_that_lies_about_its_length() -> None:
    block = bytes(cramjam.snappy.compress_raw(b"x" * 100))
    assert refusal(Codec.snappy, b"\xff\xff\xff\xff\x0f" + block[1:]) == ErrorCode.message_too_large
    assert refusal(Codec.snappy, b"\x7f" + block[1:]) == ErrorCode.corrupt_message


def bombs() -> list[tuple[Codec, bytes]]:
    """Streams of a gigabyte each, put together from one piece so that making them takes no memory."""
    zeros = bytes(64 * 1024)
    pieces = 16 * 1024
    deflate = zlib.compressobj(wbits=31)
    head = deflate.compress(b"x") + deflate.flush(zlib.Z_FULL_FLUSH)
    member_piece = deflate.compress(zeros) + deflate.flush(zlib.Z_FULL_FLUSH)
    xerial = compress(Codec.snappy, zeros)
    frame = compress(Codec.lz4, zeros)
    return [
        (Codec.gzip, head + member_piece * pieces),
        (Codec.gzip, gzip.compress(zeros) * pieces),
        (Codec.snappy, xerial[:16] + xerial[16:] * pieces),
        (Codec.snappy, b"\x80\x80\x80\x80\x04" + b"\xfe\x01\x00" * 1000),
        (Codec.lz4, frame[:7] + frame[7:-4] * pieces),
        (Codec.zstd, zstd_frame(8 * 1024)),
        (Codec.zstd, zstd_frame(8 * 1024, window_log=27)),
    ]


def test_bombs_are_refused_without_inflating_them() -> None:
    packed = bombs()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for codec, data in packed:
        assert refusal(codec, data, 4 * MIB) == ErrorCode.message_too_large
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * 1024 < 32 * MIB
