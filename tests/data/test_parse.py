"""What polars reads against the definition in plain Python, and the sentence of each fault."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlet_bench.data import DATASETS, parse
from mlet_bench.data.base import Column, DataSet, Dense
from mlet_bench.data.raw import Block
from mlet_bench.errors import BenchError


class Kinds(DataSet):
    """A column of each kind, most of which may be empty, in an order of its own."""

    name = "kinds"
    separator = ";"
    columns = (
        Column("word", "text", optional=True),
        Column("x", "int", optional=True),
        Column("label", "label"),
        Column("when", "hour", optional=True),
        Column("token", "hex", optional=True),
        Column("n", "int"),
        Column("key", "digits", optional=True),
    )
    dense = (Dense("x"), Dense("when", of=lambda hour: hour % 100))
    fields = ("token", "n", "word")


FORMATS = {data.name: data() for data in (DATASETS["criteo-kaggle"], DATASETS["avazu"], Kinds)}
CRITEO, AVAZU, KINDS = FORMATS.values()
VALID = {
    "label": st.sampled_from("01"),
    "int": st.one_of(st.integers(-3, 3000), st.integers(-(2**63), 2**63 - 1)).map(str),
    "hex": st.from_regex("[0-9a-fA-F]{8}", fullmatch=True),
    "hour": st.sampled_from(["14102100", "14102123", "14103007", "24022923"]),
    "digits": st.from_regex("[0-9]{1,20}", fullmatch=True),
    "text": st.sampled_from(["a", "b c", " ", "+", '"', "''", "#", "NULL", "NA", "null", "é", "\u2028", "\x85"]),
}
# Values that one reader or another takes for something else.
ODD = ["", "-", "--1", "+5", " 5", "5 ", "5.0", "1e5", "-0", "007", "1_0", "0x12", "inf", "nan", "true", "00", "2", "é"]
ODD += [str(2**63), str(2**63 - 1), str(-(2**63)), str(-(2**63) - 1), "0" * 30 + "5", "-" + "0" * 30 + "5", "1" * 5000]
ODD += ["+000abcd", "-0000001", "-0000000", "0x123456", "1234567", "123456789", " 1234567", "1234 678", "ABCDEF01"]
ODD += [
    "14102124",
    "14130100",
    "14023000",
    "00000000",
    "1410210",
    "1" * 20,
    "1" * 21,
    '"1"',
    "1\r",
    "\r",
    "\t1",
    "1\t",
    "a+",
    "1\0",
    "#1",
    "٣",
    "\ufeff1",
    "\ufeff",
]


def valid_line(fmt, **values):
    """A line that is right, but for ``values`` by column name."""
    usual = {"label": "0", "int": "5", "hex": "0000abcd", "hour": "14102105", "digits": "10000000000000000001"}
    usual["text"] = "word"
    return fmt.separator.join(values.get(column.name, usual[column.kind]) for column in fmt.columns)


@st.composite
def mutated(draw, fmt):
    """One to three valid lines, then up to two edits of values or bytes."""
    optional = {kind: st.one_of(st.just(""), values) for kind, values in VALID.items()}
    lines = [
        [draw((optional if column.optional else VALID)[column.kind]) for column in fmt.columns]
        for _ in range(draw(st.integers(1, 3)))
    ]
    for _ in range(draw(st.integers(0, 2))):
        draw(st.sampled_from(lines))[draw(st.integers(0, len(fmt.columns) - 1))] = draw(st.sampled_from(ODD))
    text = "".join(fmt.separator.join(line) + "\n" for line in lines).encode()
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        at, drop = draw(st.integers(0, len(text) - 1)), draw(st.integers(0, 2))
        put = draw(
            st.sampled_from(
                [b"", b"\n", b"\r", fmt.separator.encode(), b"0", b"a", b"g", b"-", b"+", b" ", b'"', b"\xff"]
            )
        )
        text = text[:at] + put + text[at + drop :]
    return text if text.endswith(b"\n") else text + b"\n"


def agree(text, fmt):
    lines = text.split(b"\n")[:-1]
    faults = [parse.line_fault(line, fmt) for line in lines]
    if any(faults):
        number = next(number for number, fault in enumerate(faults) if fault)
        with pytest.raises(BenchError) as caught:
            parse.parse(Block(text, 7, "f"), fmt)
        assert str(caught.value) == f"f, line {number + 7}{faults[number]}"
        return
    rows = parse.parse(Block(text, 7, "f"), fmt)
    assert rows.height == len(lines)
    for number, line in enumerate(lines):
        values = dict(zip((column.name for column in fmt.columns), line.decode().split(fmt.separator)))
        read = {"hex": lambda value: int(value, 16), "int": int, "text": str}
        for name in fmt.fields:
            assert rows[name][number] == (read[fmt.kind(name)](values[name]) if values[name] else None)
        for name in (dense.column for dense in fmt.dense):
            value = values[name][6:] if fmt.kind(name) == "hour" else values[name]
            expected = np.log(np.float32(max(int(value or 0), 0)) + np.float32(1))
            np.testing.assert_array_max_ulp(np.float32(rows[name][number]), expected, maxulp=1)
        assert rows["label"][number] == int(values["click" if "click" in values else "label"])


@settings(max_examples=300, deadline=None)
@given(mutated(CRITEO))
@example(("\n" + valid_line(CRITEO) + "\n").encode())
@example((valid_line(CRITEO) + "\n\n").encode())
@example((valid_line(CRITEO) + "\t\n" + valid_line(CRITEO)[:-9] + "\n").encode())
@example(b"\xef\xbb\xbf" + valid_line(CRITEO).encode() + b"\n")
@example((valid_line(CRITEO)[:-9] + "\n" + valid_line(CRITEO) + "\t\n").encode())
def test_polars_takes_exactly_what_the_definition_takes_criteo(text):
    agree(text, CRITEO)


@settings(max_examples=300, deadline=None)
@given(mutated(AVAZU))
def test_polars_takes_exactly_what_the_definition_takes_avazu(text):
    agree(text, AVAZU)


@settings(max_examples=300, deadline=None)
@given(mutated(KINDS))
@example(b'"a;1;0;;;1;\nb";1;0;;;1;\n')
def test_polars_takes_exactly_what_the_definition_takes_of_every_kind(text):
    agree(text, KINDS)


@pytest.mark.parametrize("place", range(8))
@pytest.mark.parametrize(("column", "value"), [("token", b"5a5A5f0F"), ("n", b"90817263"), ("n", b"-1234567")])
def test_every_byte_at_every_place(column, value, place):
    """Also beside a plus sign elsewhere, which makes the reader hold every value against its pattern."""
    for byte in set(range(256)) - {9, 10}:
        for other in ("5", "+5"):
            one = value[:place] + bytes([byte]) + value[place + 1 :]
            line = valid_line(KINDS, **{column: "VALUE", "word": other}).encode().replace(b"VALUE", one)
            agree(line + b"\n", KINDS)


def test_a_block_of_many_values_reads_as_the_numbers_that_were_written():
    draw, n = np.random.default_rng(0), 50_000
    numbers, tokens = draw.integers(-9, 10 ** draw.integers(1, 19, n)), draw.integers(0, 2**32, n)
    text = "".join(f";{number};1;;{token:08x};{number};\n" for number, token in zip(numbers, tokens)).encode()
    rows = parse.parse(Block(text, 1, "f"), KINDS)
    np.testing.assert_array_equal(rows["n"], numbers)
    np.testing.assert_array_equal(rows["token"], tokens)
    found = np.log((numbers.clip(0).astype(np.float32) + np.float32(1)).astype(np.float64)).astype(np.float32)
    np.testing.assert_array_equal(rows["x"], found)


@pytest.mark.parametrize("name", FORMATS)
def test_every_odd_value_in_every_kind_of_column(name):
    fmt = FORMATS[name]
    kinds = {(column.kind, column.optional): column.name for column in fmt.columns}
    for column in kinds.values():
        for value in ODD:
            agree((valid_line(fmt, **{column: value}) + "\n").encode(), fmt)


FAULTS = [
    ("criteo-kaggle", {"label": "2"}, "column label: '2' is not a label (0 or 1)"),
    ("criteo-kaggle", {"label": ""}, "column label: '' is empty, a value is needed"),
    ("criteo-kaggle", {"I3": "+5"}, "column I3: '+5' is not an integer"),
    ("criteo-kaggle", {"I3": " 5"}, "column I3: ' 5' is not an integer"),
    ("criteo-kaggle", {"I13": "1.5"}, "column I13: '1.5' is not an integer"),
    ("criteo-kaggle", {"I1": str(2**63)}, "column I1: '9223372036854775808' is outside the 64-bit integers"),
    ("criteo-kaggle", {"C1": "abc"}, "column C1: 'abc' is not a token of 8 hex digits"),
    ("criteo-kaggle", {"C26": "+000abcd"}, "column C26: '+000abcd' is not a token"),
    ("criteo-kaggle", {"C26": "-0000000"}, "column C26: '-0000000' is not a token"),
    ("criteo-kaggle", {"C2": "x" * 50}, "column C2: '" + "x" * 40 + "...' is not a token"),
    ("criteo-kaggle", {"C26": "0000abcd\t"}, "41 columns, criteo-kaggle has 40"),
    ("avazu", {"click": "yes"}, "column click: 'yes' is not a label"),
    ("avazu", {"id": "1" * 21}, "column id: '111111111111111111111' is not a number of up to 20 digits"),
    ("avazu", {"id": "-1"}, "column id: '-1' is not a number"),
    ("avazu", {"hour": "14102124"}, "column hour: '14102124' has an hour above 23"),
    ("avazu", {"hour": "14023000"}, "column hour: '14023000' has no such day"),
    ("avazu", {"hour": "2014102100"}, "column hour: '2014102100' is not an hour (YYMMDDHH)"),
    ("avazu", {"site_id": ""}, "column site_id: '' is empty, a value is needed"),
    ("avazu", {"C20": ""}, "column C20: '' is empty, a value is needed"),
    ("avazu", {"C20": '"-1"'}, "column C20: '\"-1\"' is not an integer"),
    ("avazu", {"C21": "5,6"}, "25 columns, avazu has 24"),
]


@pytest.mark.parametrize(("name", "values", "sentence"), FAULTS)
def test_the_sentence_names_file_line_column_and_value(name, values, sentence):
    fmt = FORMATS[name]
    text = "".join(line + "\n" for line in (valid_line(fmt), valid_line(fmt, **values), valid_line(fmt)))
    with pytest.raises(BenchError) as caught:
        parse.parse(Block(text.encode(), 100, "raw.txt"), fmt)
    assert str(caught.value).startswith("raw.txt, line 101")
    assert sentence in str(caught.value)


def test_short_and_blank_lines_are_refused_where_they_stand():
    fmt = CRITEO
    line = valid_line(fmt)
    with pytest.raises(BenchError, match="line 2: 39 columns, criteo-kaggle has 40"):
        parse.parse(Block(f"{line}\n{line[:-9]}\n".encode(), 1, "f"), fmt)
    with pytest.raises(BenchError, match="line 2: the line is blank"):
        parse.parse(Block(f"{line}\n\n{line}\n".encode(), 1, "f"), fmt)


def test_the_first_fault_of_a_long_block_is_found_without_trying_every_line(monkeypatch):
    tried, fault = [], parse.line_fault
    monkeypatch.setattr(parse, "line_fault", lambda line, data: (tried.append(line), fault(line, data))[1])
    line = valid_line(CRITEO)
    lines = [line] * 5000
    lines[4321], lines[4999] = valid_line(CRITEO, I7="x"), valid_line(CRITEO, I1="y")
    with pytest.raises(BenchError, match=r"^f, line 4331, column I7: 'x'"):
        parse.parse(Block("".join(f"{line}\n" for line in lines).encode(), 10, "f"), CRITEO)
    assert len(tried) <= parse.FEW
    found = parse.parse(Block(f"{line}\n".encode() * 5000, 10, "f"), CRITEO)
    assert found.height == 5000


def test_a_disagreement_of_the_two_readers_stops(monkeypatch):
    monkeypatch.setattr(parse, "_read", lambda block, fmt: None)
    with pytest.raises(BenchError, match=r"lines 5 to 5: .* an error of mlet-bench"):
        parse.parse(Block(valid_line(CRITEO).encode() + b"\n", 5, "f"), CRITEO)
