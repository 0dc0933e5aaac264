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
_names = sys.__dict__
# Buffers that were below the text objects before, as far as the user's code still has them.
_former = []


class _Stream:
    """One of the three."""

    __slots__ = ("buffer", "errors", "fd", "hidden", "line_buffering", "mode", "name", "text")

    def __init__(self, name, fd, mode):
        self.name, self.hidden, self.fd, self.mode = name, f"__{name}__", fd, mode
        self.text = text = getattr(sys, name)
        self.errors, self.line_buffering, self.buffer = text.errors, text.line_buffering, text.buffer

    def notes(self):
        """What streams_are_sound() compares."""
        text, buffer = self.text, self.buffer
        referents = tuple(_referents(text)), tuple(_referents(buffer))
        return self.name, self.hidden, text, referents[0], buffer, referents[1], buffer.raw.fileno, self.fd

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
        self.buffer = buffer


stdin, stdout, stderr = sys.stdin, sys.stdout, sys.stderr
_streams = [_Stream("stdin", 0, "r"), _Stream("stdout", 1, "w"), _Stream("stderr", 2, "w")]


def begin(used, stdin_used):
    """Puts the streams in their places. `used`: code ran before. `stdin_used`: an earlier run's stdin may be left."""
    if stdin_used or (used and not _eryx.streams_are_sound()):
        _restore()


def _restore():
    for stream in _streams:
        # What was there may close what is below when it goes.
        setattr(sys, stream.name, stream.text)
        setattr(sys, stream.hidden, stream.text)
        stream.renew()
    _note()


def _note():
    _eryx.note_streams(_names, tuple([stream.notes() for stream in _streams]))


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
    if not _former and _names.get("stdout") is stdout and _names.get("stderr") is stderr:
        return stdout, stderr
    former = [buffer() for buffer in _former]
    if None in former:
        _former[:] = [buffer for buffer in _former if buffer() is not None]
    return _names.get("stdout"), _names.get("stderr"), stdout, stderr, *former
