/* Whether the standard streams are as they were made. Methods of _eryx; the rest is in _eryx_streams.py.
 *
 * Every execution of a session asks this: in Python it took a fifth of what an execution without anything to do takes. */
#include "eryx.h"

#include <string.h>

/* What refers to a buffer: its text object, its _Stream, and two entries of its notes. Another text object closes it when it goes. */
enum { HOLDERS = 4, STREAMS = 3, REFERENTS = 32 };

/* What text objects have in their __dict__: `mode`. */
enum { ATTRIBUTES = 1 };

typedef struct {
    PyObject *name, *hidden_name, *text, *buffer, *fileno;
    long descriptor;
    /* Encoding, errors and newlines are among what a text object refers to: a change of them is another encoder. */
    PyObject *text_referents[REFERENTS], *buffer_referents[REFERENTS];
} Stream;

/* `notes` holds references to all that the streams name. */
static PyObject *names, *notes, *write_through;
static Stream streams[STREAMS];

/* A tuple's items, with a NULL behind them. */
static int copy_referents(PyObject *from, PyObject **into) {
    Py_ssize_t size = PyTuple_Size(from);
    if (size < 0 || size >= REFERENTS) {
        PyErr_Format(eryx_type_error, "a stream's object refers to a tuple of at most %d", REFERENTS - 1);
        return -1;
    }
    for (Py_ssize_t i = 0; i < size; i++) into[i] = PyTuple_GetItem(from, i);
    into[size] = NULL;
    return 0;
}

static int read_note(PyObject *note, Stream *into) {
    PyObject *text_referents, *buffer_referents;
    int parsed = PyArg_ParseTuple(note, "OOOOOOOl", &into->name, &into->hidden_name, &into->text, &text_referents, &into->buffer,
                                  &buffer_referents, &into->fileno, &into->descriptor);
    if (!parsed || copy_referents(text_referents, into->text_referents)) return -1;
    return copy_referents(buffer_referents, into->buffer_referents);
}

/* note_streams(sys.__dict__, notes): a tuple of one tuple for each stream: (name, hidden name, text, its referents, buffer, its
 * referents, raw.fileno, fd). */
PyObject *eryx_note_streams(PyObject *module, PyObject *arguments) {
    PyObject *new_names, *new_notes, *old_names = names, *old_notes = notes;
    Stream noted[STREAMS];
    if (!PyArg_ParseTuple(arguments, "OO", &new_names, &new_notes)) return NULL;
    if (!write_through && !(write_through = PyUnicode_FromString("write_through"))) return NULL;
    if (PyDict_Size(new_names) < 0) return NULL;
    for (Py_ssize_t i = 0; i < STREAMS; i++) {
        PyObject *note = PyTuple_GetItem(new_notes, i);
        if (!note || read_note(note, &noted[i])) return NULL;
    }
    Py_IncRef(new_names);
    Py_IncRef(new_notes);
    names = new_names;
    notes = new_notes;
    memcpy(streams, noted, sizeof streams);
    if (old_names) Py_DecRef(old_names);
    if (old_notes) Py_DecRef(old_notes);
    return eryx_none();
}

static int compare(PyObject *object, void *argument) {
    PyObject ***kept = argument;
    return *(*kept)++ != object;
}

/* Whether an object still refers to these, and to no others. */
static int refers_to(PyObject *object, PyObject **kept) {
    traverseproc traverse = (traverseproc)PyType_GetSlot(object->type, Py_tp_traverse);
    return traverse && !traverse(object, compare, &kept) && !*kept;
}

/* The same number again, unless it was closed or opened anew. */
static int has_descriptor(const Stream *stream) {
    PyObject *descriptor = PyObject_CallNoArgs(stream->fileno);
    int same = descriptor && PyLong_AsLong(descriptor) == stream->descriptor;
    if (descriptor) Py_DecRef(descriptor);
    return same;
}

static int writes_through(PyObject *text) {
    PyObject *answer = PyObject_GetAttr(text, write_through);
    int through = answer != Py_GetConstantBorrowed(Py_CONSTANT_FALSE);
    if (answer) Py_DecRef(answer);
    return through;
}

static int has_only_its_mode(PyObject *text) {
    PyObject *attributes = PyObject_GenericGetDict(text, NULL);
    int only = attributes && PyDict_Size(attributes) == ATTRIBUTES;
    if (attributes) Py_DecRef(attributes);
    return only;
}

static int is_sound(Stream *stream) {
    PyObject *text = stream->text;
    return PyDict_GetItemWithError(names, stream->name) == text && PyDict_GetItemWithError(names, stream->hidden_name) == text &&
           stream->buffer->refcount == HOLDERS && refers_to(text, stream->text_referents) &&
           refers_to(stream->buffer, stream->buffer_referents) && has_descriptor(stream) && !writes_through(text) &&
           has_only_its_mode(text);
}

/* streams_are_sound(): whether all are in their places and as they were noted. */
PyObject *eryx_streams_are_sound(PyObject *module, PyObject *arguments) {
    int sound = notes != NULL;
    for (Py_ssize_t i = 0; sound && i < STREAMS; i++) sound = is_sound(&streams[i]);
    if (PyErr_Occurred()) { /* closed, detached or deleted */
        if (PyErr_ExceptionMatches(eryx_sandbox_interrupt)) return NULL;
        PyErr_Clear();
    }
    return eryx_bool(sound);
}
