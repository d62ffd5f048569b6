"""Output that nobody reads, and whose reader goes."""

import io
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import TextIO

import pytest

from responses_gateway.proxy.log_output import LIMIT, BackgroundOutput, in_background

LINE = "x" * 999 + "\n"


class Pipe:
    """A pipe, both ends of which are text."""

    def __init__(self) -> None:
        reader, writer = os.pipe()
        self.reader, self.writer = os.fdopen(reader), os.fdopen(writer, "w")


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    for end in (pipe.reader, pipe.writer):
        with suppress(OSError):
            end.close()


def test_what_is_read_comes_whole_and_in_order(pipe: Pipe) -> None:
    print("before", file=pipe.writer)
    output: TextIO = in_background(pipe.writer)
    for number in range(1000):
        print(number, "ü", file=output)
    expected = ["before\n", *(f"{number} ü\n" for number in range(1000))]
    assert [pipe.reader.readline() for _ in expected] == expected


def test_what_nobody_reads_is_dropped_and_counted(pipe: Pipe) -> None:
    output = BackgroundOutput(pipe.writer)
    written = 4 * LIMIT // len(LINE)
    for _ in range(written):
        print(LINE, end="", file=output)
    read = dropped = 0
    while read + dropped < written:
        line = pipe.reader.readline()
        if line == LINE:
            read += 1
        else:
            missing = re.fullmatch(r"\((\d+) lines of the log are missing here: nobody read it\.\)\n", line)
            assert missing
            dropped += int(missing[1])
    assert dropped
    print("at last", file=output)
    assert pipe.reader.readline() == "at last\n"


def test_a_line_without_end_is_no_way_around_the_limit(pipe: Pipe) -> None:
    output = BackgroundOutput(pipe.writer)
    for _ in range(6 * LIMIT // 1000):
        output.write("x" * 1000)
    output.write("\n")
    assert len(pipe.reader.readline()) < 5 * LIMIT


@pytest.mark.parametrize("beforehand", [True, False])
def test_a_reader_that_goes_ends_nothing(pipe: Pipe, beforehand: bool) -> None:
    output = BackgroundOutput(pipe.writer)
    if beforehand:
        pipe.reader.close()
    for _ in range(2 * LIMIT // len(LINE)):
        print(LINE, end="", file=output)
    pipe.reader.close()
    output.drain()
    print("for nobody", file=output)
    output.drain()


def test_what_is_no_file_stays_as_it_is() -> None:
    stream = io.StringIO()
    assert in_background(stream) is stream
