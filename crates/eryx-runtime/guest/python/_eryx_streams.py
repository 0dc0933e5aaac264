"""The standard streams. Each execution begins with ones that work, whatever the code before did to them.

The text objects are always the same ones, so that what refers to them, such as a handler of logging, writes on. What is
below them is made anew when it is not as it was.
"""

import gc
import io
import sys
import weakref

import _eryx

_referents = gc.get_referents
# What refers to a buffer: its text object, its _Stream, and the checks of both.
_HOLDERS = 4
# Buffers that were below the text objects before, as far as the user's code still has them.
_former = []


class _Stream:
    """One of the three."""

    __slots__ = ("attributes", "buffer", "errors", "fd", "hidden", "line_buffering", "mode", "name", "raw", "text")

    def __init__(self, name, fd, mode):
        self.name, self.hidden, self.fd, self.mode = name, f"__{name}__", fd, mode
        self.text = text = getattr(sys, name)
        self.errors, self.line_buffering = text.errors, text.line_buffering
        self._note()

    def _note(self):
        self.buffer = self.text.buffer
        self.raw = self.buffer.raw
        self.attributes = self.text.__dict__

    def checks(self):
        """What is as it was made as long as only its text object uses its buffer: another one closes it when it goes. Encoding,
        errors and newlines are among what a text object refers to: a change of them is another encoder."""
        text, buffer = self.text, self.buffer
        return (text, tuple(_referents(text)), 0), (buffer, tuple(_referents(buffer)), _HOLDERS)

    def is_open(self):
        return self.raw.fileno() == self.fd and not self.text.write_through and len(self.attributes) == 1

    def renew(self):
        """Makes everything below the text object anew: what was there may belong to something that closes it some day."""
        text, writes = self.text, self.fd > 0
        raw = io.FileIO(self.fd, "wb" if writes else "rb", closefd=False)
        raw.name = f"<{self.name}>"
        buffer = io.BufferedWriter(raw) if writes else io.BufferedReader(raw)
        if writes:
            _former.append(weakref.ref(self.buffer))
        text.__init__(buffer, "utf-8", self.errors, "\n", self.line_buffering)
        text.__dict__.clear()
        text.mode = self.mode
        self._note()


stdin, stdout, stderr = sys.stdin, sys.stdout, sys.stderr
_streams = [_Stream("stdin", 0, "r"), _Stream("stdout", 1, "w"), _Stream("stderr", 2, "w")]
_checks = []


def begin(used, stdin_used):
    """Puts the streams in their places. `used`: code ran before. `stdin_used`: an earlier run's stdin may be left."""
    if stdin_used or used and not _are_sound():
        _restore()


def _are_sound():
    try:
        return (
            (sys.stdin is stdin and sys.stdout is stdout and sys.stderr is stderr)
            and (sys.__stdin__ is stdin and sys.__stdout__ is stdout and sys.__stderr__ is stderr)
            and _eryx.unchanged(_checks)
            and all([stream.is_open() for stream in _streams])
        )
    except Exception:  # closed, detached or deleted
        return False


def _restore():
    for stream in _streams:
        # What was there may close what is below when it goes.
        setattr(sys, stream.name, stream.text)
        setattr(sys, stream.hidden, stream.text)
        stream.renew()
    note()


def note():
    """Notes what the streams are like now."""
    _checks[:] = [check for stream in _streams for check in stream.checks()]


def rehearse():
    """What sessions do. Image time only."""
    _restore()
    begin(True, False)


def buffers():
    """Those to which references are counted in the image too."""
    _former.clear()
    return [stream.buffer for stream in _streams]


def buffer_lines(wanted):
    """Whether each printed line is handed over at once."""
    if wanted != stdout.line_buffering:
        stdout.reconfigure(line_buffering=wanted)


def current():
    """All that may hold printed text."""
    streams = [getattr(sys, "stdout", None), getattr(sys, "stderr", None), stdout, stderr]
    if _former:
        former = [buffer() for buffer in _former]
        if None in former:
            _former[:] = [buffer for buffer in _former if buffer() is not None]
        streams += former
    return streams
