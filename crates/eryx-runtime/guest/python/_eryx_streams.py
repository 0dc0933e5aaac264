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
_references = sys.getrefcount
# Buffers that were below the text objects before, as far as the user's code still has them.
_former = []


class _Stream:
    """One of the three."""

    __slots__ = ("attributes", "buffer", "errors", "fd", "hidden", "kept", "line_buffering", "mode", "name", "raw", "references", "text")

    def __init__(self, name, fd, mode):
        self.name, self.hidden, self.fd, self.mode = name, f"__{name}__", fd, mode
        self.text = text = getattr(sys, name)
        self.errors, self.line_buffering = text.errors, text.line_buffering
        self._note()

    def _note(self):
        self.buffer = self.text.buffer
        self.raw = self.buffer.raw
        self.attributes = self.text.__dict__
        self.kept = [(self.text, tuple(_referents(self.text))), (self.buffer, tuple(_referents(self.buffer)))]
        self.references = _references(self.buffer)

    def is_sound(self):
        """Whether it is as it was made, and nothing else has its buffer, such as another text object, which closes it when it
        goes. Encoding, errors and newlines are among what the text object refers to: a change of them is another encoder."""
        if _references(self.buffer) != self.references or self.raw.fileno() != self.fd or self.text.write_through:
            return False
        for part, kept in self.kept:
            if not _eryx.refers_to(part, kept):
                return False
        return len(self.attributes) == 1

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
        del buffer  # the references are counted
        self._note()


_streams = [_Stream("stdin", 0, "r"), _Stream("stdout", 1, "w"), _Stream("stderr", 2, "w")]
stdout = sys.stdout
stderr = sys.stderr


def begin(used, stdin_used):
    """Puts the streams in their places. `used`: code ran before. `stdin_used`: an earlier run's stdin may be left."""
    if used:
        for stream in _streams:
            _restore(stream)
    if stdin_used:
        _streams[0].renew()


def _restore(stream):
    text = stream.text
    replaced = getattr(sys, stream.name, None) is not text
    if replaced or getattr(sys, stream.hidden, None) is not text:
        # What was there may close what is below when it goes.
        setattr(sys, stream.name, text)
        setattr(sys, stream.hidden, text)
    try:
        sound = not replaced and stream.is_sound()
    except Exception:  # closed or detached
        sound = False
    if not sound:
        stream.renew()


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

