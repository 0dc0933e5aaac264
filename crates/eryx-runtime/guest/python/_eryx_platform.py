"""What scripts ask of the platform and the interpreter here does not have: it answers as a system does that has no such thing."""

import errno
import locale
import os
import shutil
import socket
import sys


def get_terminal_size(fd=1, /):
    """Return the size of the terminal window: no stream here is a terminal."""
    os.fstat(fd)
    raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))


def getlogin():
    """Return the actual login name: nobody has logged in."""
    raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))


def disk_usage(path):
    """Return disk usage statistics about the given path: file systems here do not tell."""
    os.stat(path)
    raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP), path)


def _no_socket(self, family=-1, type=-1, proto=-1, fileno=None):
    raise PermissionError(errno.EPERM, "network access is off in this sandbox")


def install():
    """Image time only."""
    for module, functions in ((os, (get_terminal_size, getlogin)), (shutil, (disk_usage,))):
        for function in functions:
            function.__module__ = module.__name__
            setattr(module, function.__name__, function)
            module.__all__.append(function.__name__)
    _no_socket.__name__ = "__init__"
    socket.socket.__init__ = _no_socket
    sys.thread_info = type(sys.thread_info)(("pthread-stubs", None, None))
    # As main() does: open(.., encoding="locale") asks for it.
    locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
