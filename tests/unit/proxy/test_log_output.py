"""Output that nobody reads, and whose reader goes."""

import atexit
import io
import os
import re
import select
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, TextIO

import pytest

from responses_gateway.proxy import log_output
from responses_gateway.proxy.log_output import LIMIT, BackgroundOutput, in_background, unblock_log

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


MISSING = "(%d lines of the log are missing here: nobody read it.)\n"


def held_up(pipe: Pipe) -> BackgroundOutput:
    """An output whose thread waits for a reader of its first line, which is long."""
    output = BackgroundOutput(pipe.writer)
    output.write("x" * LIMIT + "\n")
    select.select([pipe.reader], [], [])
    return output


def rest(pipe: Pipe, until: str) -> list[str]:
    """The lines behind the first one."""
    pipe.reader.readline()
    return list(iter(pipe.reader.readline, until))


def test_lines_up_to_the_limit_and_one_more_wait_for_a_reader(pipe: Pipe) -> None:
    output = held_up(pipe)
    lines = [str(number) * 2**10 + "\n" for number in range(3)]
    waiting = "y" * (LIMIT - 1 - sum(map(len, lines))) + "\n"
    for line in [*lines, waiting, "the last\n", "dropped\n", "drop", "ped\n\n"]:
        output.write(line)
    assert rest(pipe, MISSING % 3) == [*lines, waiting, "the last\n"]
    output.write("again\n")
    assert pipe.reader.readline() == "again\n"


def test_a_line_that_was_begun_is_ended_if_it_is_not_too_long(pipe: Pipe) -> None:
    output = held_up(pipe)
    output.write("a" * (2 * LIMIT))
    for piece in ("b", "c", "d", "\n", "dropped\n"):
        output.write(piece)
    pipe.reader.readline()
    assert pipe.reader.readline() == "a" * (2 * LIMIT) + "b" + MISSING % 2


def test_lines_in_pieces_stay_lines(pipe: Pipe) -> None:
    output = BackgroundOutput(pipe.writer)
    assert [output.write(piece) for piece in ("one", "", " line\n", "ü\ntwo")] == [3, 0, 6, 5]
    output.write("\n")
    assert [pipe.reader.readline() for _ in range(3)] == ["one line\n", "ü\n", "two\n"]


def test_the_end_of_the_process_waits_for_what_is_not_written(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    at_exit: list[Callable[[], object]] = []
    monkeypatch.setattr(atexit, "register", at_exit.append)
    output = BackgroundOutput(pipe.writer)
    text = "x" * 99 + "\n"
    for _ in range(300):
        output.write(text)
    [drain] = at_exit
    drain()
    os.set_blocking(pipe.reader.fileno(), False)
    assert os.read(pipe.reader.fileno(), 1 << 20).decode() == text * 300


def test_the_end_of_the_process_does_not_wait_for_ever(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_output, "PATIENCE", 0.01)
    held_up(pipe).drain()
    assert len(pipe.reader.readline()) == LIMIT + 1


def test_a_pipe_that_would_block_is_waited_for(pipe: Pipe) -> None:
    os.set_blocking(pipe.writer.fileno(), False)
    output = held_up(pipe)
    output.write("second\n")
    assert pipe.reader.readline() == "x" * LIMIT + "\n"
    assert pipe.reader.readline() == "second\n"


def test_a_character_that_the_terminal_has_not_is_escaped() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader) as ours, os.fdopen(writer, "w", encoding="ascii") as theirs:
        output: TextIO = in_background(theirs)
        assert output.encoding == "ascii"
        output.write("ü\n")
        assert ours.readline() == "\\xfc\n"


def test_an_output_is_what_its_stream_is(pipe: Pipe) -> None:
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal:
        for stream in (pipe.writer, terminal):
            output: TextIO = in_background(stream)
            assert output is not stream
            assert output.fileno() == stream.fileno()
            assert output.isatty() is (stream is terminal)
            assert output.writable()
            assert in_background(output) is output
    os.close(ours)


def master(**addons: Any) -> Any:
    return SimpleNamespace(addons=addons)


def test_the_log_and_the_flows_of_one_output_go_through_one_thread(pipe: Pipe) -> None:
    log, dumper = SimpleNamespace(logger=SimpleNamespace(file=pipe.writer)), SimpleNamespace(outfp=pipe.writer)
    unblock_log(master(termlog=log, dumper=dumper))
    assert isinstance(log.logger.file, BackgroundOutput)
    assert dumper.outfp is log.logger.file


def test_flows_that_go_elsewhere_stay_there(pipe: Pipe) -> None:
    elsewhere = io.StringIO()
    log, dumper = SimpleNamespace(logger=SimpleNamespace(file=pipe.writer)), SimpleNamespace(outfp=elsewhere)
    unblock_log(master(termlog=log, dumper=dumper))
    assert isinstance(log.logger.file, BackgroundOutput)
    assert dumper.outfp is elsewhere


def test_a_master_that_prints_less_is_left_alone(pipe: Pipe) -> None:
    dumper = SimpleNamespace(outfp=pipe.writer)
    unblock_log(master(dumper=dumper))
    assert dumper.outfp is pipe.writer
    log = SimpleNamespace(logger=SimpleNamespace(file=pipe.writer))
    unblock_log(master(termlog=log))
    assert isinstance(log.logger.file, BackgroundOutput)
