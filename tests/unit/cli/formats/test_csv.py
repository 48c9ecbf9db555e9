import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottla.cli.formats.csv import CsvDecoder, CsvEncoder
from ottla.cli.formats.interface import Defaults
from ottla.client.columns.columns import Record

from .roundtrip import Sent, read, read_until_wrong, record, sent_of, written


@given(st.lists(st.lists(record(), max_size=5), max_size=3), st.integers(1, 40))
def test_csv_carries_every_record(batches, step):
    text = written(CsvEncoder(), batches)
    assert read(CsvDecoder(Defaults()), text, step) == [sent_of(row) for batch in batches for row in batch]


def test_others_read_it():
    rows = [Record("t", 2, 7, 5, 0, b'a "b", c', b"007\r\n", (("h", None),))]
    (read_row,) = csv.DictReader(io.StringIO(written(CsvEncoder(), [rows]).decode(), newline=""))
    assert read_row == {
        "topic": "t",
        "partition": "2",
        "offset": "7",
        "timestamp": "5",
        "key": 'a "b", c',
        "value": "007\r\n",
        "headers": '[["h", null]]',
    }


def test_columns_in_any_order_and_what_is_left_out():
    text = b'\xef\xbb\xbfvalue,key,whatever\r\n1.50,,x\r\n"",k,\r\n\r\n"a""b","c\r\nd",\r\n'
    defaults = Defaults([(b"h", b"1")])
    headers = ((b"h", b"1"),)
    assert read(CsvDecoder(defaults), text) == [
        Sent(None, b"1.50", headers),
        Sent(b"k", b"", headers),
        Sent(b"c\r\nd", b'a"b', headers),
    ]


def test_any_table_becomes_json_of_strings():
    text = b"user,amount,note\n7,007,\n8,1e5,\xc3\xa9\n"
    assert [
        (row.key, json.loads(row.value)) for row in read(CsvDecoder(Defaults(), key_column="user"), text)
    ] == [
        (b"7", {"amount": "007", "note": None}),
        (b"8", {"amount": "1e5", "note": "é"}),
    ]
    assert [row.key for row in read(CsvDecoder(Defaults()), text)] == [None, None]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"key,value\na,b\na,b,c\n", "line 3: 3 fields, where 2 columns are named"),
        (b'key,value\na,b\na,b"c"\n', "line 3: a quote is neither at the begin nor at the end"),
        (b'key,value\na,b\na,"b\nc\n', "line 3: a quote is opened and not closed"),
        (b"key,key\n", "line 1: column 'key' is there twice"),
        (b"key,partition\na,1\na,x\n", "line 3: partition is no number from 0 to 2147483647"),
        (b"key,timestamp\na,1\na,-5\n", "line 3: timestamp is no number"),
        (b"key,headers\na,[]\na,5\n", "line 3: headers are neither"),
        (b"a\nb\n\xff\n", "line 3: column 'a' is not UTF-8, which JSON has to be"),
        (b"key,value\na,b\na," + b"x" * 2000, "line 3: a record of 2,001 bytes is too large"),
        (b'key,value\na,b\n"a,' + b"x\n" * 9000, "line 3: a quote is not closed within 6,096 bytes"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text, complaint):
    got, wrong = read_until_wrong(CsvDecoder(Defaults(record_max_bytes=1000)), text)
    assert wrong.startswith(complaint)
    assert len(got) == (0 if "twice" in complaint else 1)


def test_a_key_that_is_no_column():
    _, wrong = read_until_wrong(CsvDecoder(Defaults(), key_column="x"), b"a,b\n1,2\n")
    assert wrong == "line 1: there is no column 'x': 'a', 'b'"
