/* The wire format of values: docs/wire-format.md.
 *
 *   n t f               None, True, False
 *   i <i64>             int that fits 64 bits
 *   I <u32 size> <..>   any other int: two's complement, little-endian
 *   d <f64>             float
 *   s b <u32 size> <..> str as UTF-8, bytes
 *   l <u32 count> items list
 *   m <u32 count> (<u32 size> <key> value)*   dict with str keys
 *
 * All integers are little-endian, as wasm's memory is. */
#include "eryx.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

PyObject *eryx_type_error, *eryx_memory_error;
static PyTypeObject *float_type, *bytearray_type, *set_type, *frozenset_type;

static PyTypeObject *type_of_new(PyObject *object) {
    PyTypeObject *type = object->type;
    Py_DecRef(object);
    return type;
}

int eryx_value_init(void) {
    PyObject *builtins = PyImport_ImportModule("builtins");
    if (!builtins) return -1;
    eryx_type_error = PyObject_GetAttrString(builtins, "TypeError");
    eryx_memory_error = PyObject_GetAttrString(builtins, "MemoryError");
    Py_DecRef(builtins);
    float_type = type_of_new(PyFloat_FromDouble(0.5));
    bytearray_type = type_of_new(PyByteArray_FromStringAndSize("", 0));
    set_type = type_of_new(PySet_New(NULL));
    frozenset_type = type_of_new(PyFrozenSet_New(NULL));
    return eryx_type_error && eryx_memory_error ? 0 : -1;
}

/* ---- encoding */

/* One container on the way down; the chain of them is the path that an error names. */
typedef struct Level {
    const struct Level *parent;
    const char *key; /* NULL: `index` counts */
    Py_ssize_t index;
    int depth;
} Level;

typedef struct {
    uint8_t *data;
    size_t size, capacity;
    const char *root;
} Encoder;

static bool encode(Encoder *out, PyObject *value, const Level *level);

/* Grows by half, or by exactly what a large blob needs: memory is limited. */
static bool reserve(Encoder *out, size_t extra) {
    if (extra <= out->capacity - out->size) return true;
    if (extra > (size_t)INT32_MAX - out->size) return false;
    size_t needed = out->size + extra, half = out->capacity + out->capacity / 2 + 256;
    size_t capacity = needed > half ? needed : half;
    uint8_t *data = realloc(out->data, capacity);
    if (!data) return false;
    out->data = data;
    out->capacity = capacity;
    return true;
}

static bool put(Encoder *out, const void *data, size_t size) {
    if (!reserve(out, size)) return PyErr_NoMemory(), false;
    memcpy(out->data + out->size, data, size);
    out->size += size;
    return true;
}

static bool put_tag(Encoder *out, char tag) { return put(out, &tag, 1); }

static bool put_sized(Encoder *out, const void *data, Py_ssize_t size) {
    uint32_t prefix = (uint32_t)size;
    return put(out, &prefix, sizeof prefix) && put(out, data, (size_t)size);
}

/* Writes the path into `text` from the root down, cut at `capacity`. */
static size_t write_path(const Level *level, const char *root, char *text, size_t capacity) {
    size_t used = level->parent ? write_path(level->parent, root, text, capacity) : (size_t)snprintf(text, capacity, "%s", root);
    if (!level->parent || used >= capacity) return used;
    int wrote = level->key ? snprintf(text + used, capacity - used, ".%s", level->key)
                           : snprintf(text + used, capacity - used, "[%ld]", (long)level->index);
    return used + (size_t)wrote;
}

static bool refuse(const Encoder *out, const Level *level, const char *format, const char *detail) {
    char path[512], message[256];
    write_path(level, out->root, path, sizeof path);
    snprintf(message, sizeof message, format, detail);
    PyErr_Format(eryx_type_error, "%s: %s", path, message);
    return false;
}

static bool refuse_type(const Encoder *out, PyObject *value, const Level *level) {
    PyObject *name = PyType_GetFullyQualifiedName(value->type);
    const char *text = name ? PyUnicode_AsUTF8AndSize(name, NULL) : NULL;
    if (!text) PyErr_Clear();
    const char *prefix = "builtins.";
    bool builtin = text && strncmp(text, prefix, strlen(prefix)) == 0;
    refuse(out, level, "%s is not transferable", text ? text + (builtin ? strlen(prefix) : 0) : "object");
    if (name) Py_DecRef(name);
    return false;
}

static bool encode_int(Encoder *out, PyObject *value) {
    int overflow;
    long long small = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (!overflow) return !(small == -1 && PyErr_Occurred()) && put_tag(out, 'i') && put(out, &small, sizeof small);
    Py_ssize_t size = PyLong_AsNativeBytes(value, NULL, 0, 1 /* little-endian */);
    if (size < 0 || !put_tag(out, 'I')) return false;
    uint32_t prefix = (uint32_t)size;
    if (!put(out, &prefix, sizeof prefix)) return false;
    if (!reserve(out, (size_t)size)) return PyErr_NoMemory(), false;
    if (PyLong_AsNativeBytes(value, out->data + out->size, size, 1) < 0) return false;
    out->size += (size_t)size;
    return true;
}

static bool encode_str(Encoder *out, PyObject *value, const Level *level) {
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(value, &size);
    if (text) return put_tag(out, 's') && put_sized(out, text, size);
    if (PyErr_ExceptionMatches(eryx_memory_error)) return false;
    PyErr_Clear();
    return refuse(out, level, "%s is not transferable", "str with a lone surrogate");
}

static bool encode_sequence(Encoder *out, PyObject *value, const Level *level, bool list) {
    Py_ssize_t count = list ? PyList_Size(value) : PyTuple_Size(value);
    uint32_t prefix = (uint32_t)count;
    if (!put_tag(out, 'l') || !put(out, &prefix, sizeof prefix)) return false;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = list ? PyList_GetItem(value, i) : PyTuple_GetItem(value, i);
        Level inner = {level, NULL, i, level->depth + 1};
        if (!item || !encode(out, item, &inner)) return false;
    }
    return true;
}

/* A copy is iterated, so that an __iter__ of the user's cannot run in the middle. */
static bool encode_set(Encoder *out, PyObject *value, const Level *level) {
    PyObject *copy = PyFrozenSet_New(value);
    if (!copy) return false;
    uint32_t prefix = (uint32_t)PySet_Size(copy);
    PyObject *iterator = PyObject_GetIter(copy), *item;
    bool good = iterator && put_tag(out, 'l') && put(out, &prefix, sizeof prefix);
    for (Py_ssize_t i = 0; good && (item = PyIter_Next(iterator)); i++) {
        Level inner = {level, NULL, i, level->depth + 1};
        good = encode(out, item, &inner);
        Py_DecRef(item);
    }
    if (iterator) Py_DecRef(iterator);
    Py_DecRef(copy);
    return good;
}

static bool encode_dict(Encoder *out, PyObject *value, const Level *level) {
    uint32_t prefix = (uint32_t)PyDict_Size(value);
    if (!put_tag(out, 'm') || !put(out, &prefix, sizeof prefix)) return false;
    Py_ssize_t position = 0;
    PyObject *key, *item;
    while (PyDict_Next(value, &position, &key, &item)) {
        if (!(PyType_GetFlags(key->type) & TPFLAGS_STR))
            return refuse(out, level, "%s is not transferable", "dict with a key that is not a str");
        Py_ssize_t size;
        const char *text = PyUnicode_AsUTF8AndSize(key, &size);
        if (!text) {
            if (PyErr_ExceptionMatches(eryx_memory_error)) return false;
            PyErr_Clear();
            return refuse(out, level, "%s is not transferable", "dict key with a lone surrogate");
        }
        Level inner = {level, text, 0, level->depth + 1};
        if (!put_sized(out, text, size) || !encode(out, item, &inner)) return false;
    }
    return true;
}

static bool encode_bytes(Encoder *out, PyObject *value) {
    char *data;
    Py_ssize_t size;
    return PyBytes_AsStringAndSize(value, &data, &size) == 0 && put_tag(out, 'b') && put_sized(out, data, size);
}

static bool encode_float(Encoder *out, PyObject *value) {
    double number = PyFloat_AsDouble(value);
    return put_tag(out, 'd') && put(out, &number, sizeof number);
}

static bool encode(Encoder *out, PyObject *value, const Level *level) {
    if (value == Py_GetConstantBorrowed(Py_CONSTANT_NONE)) return put_tag(out, 'n');
    if (value == Py_GetConstantBorrowed(Py_CONSTANT_TRUE)) return put_tag(out, 't');
    if (value == Py_GetConstantBorrowed(Py_CONSTANT_FALSE)) return put_tag(out, 'f');
    if (level->depth > ERYX_MAX_DEPTH) {
        Level top = {NULL, NULL, 0, 0};
        return refuse(out, &top, "%s is not transferable", "cyclic value, or one nested deeper than 256 levels,");
    }
    unsigned long flags = PyType_GetFlags(value->type);
    if (flags & TPFLAGS_LONG) return encode_int(out, value);
    if (flags & TPFLAGS_STR) return encode_str(out, value, level);
    if (flags & TPFLAGS_DICT) return encode_dict(out, value, level);
    if (flags & TPFLAGS_LIST) return encode_sequence(out, value, level, true);
    if (flags & TPFLAGS_TUPLE) return encode_sequence(out, value, level, false);
    if (flags & TPFLAGS_BYTES) return encode_bytes(out, value);
    if (PyType_IsSubtype(value->type, float_type)) return encode_float(out, value);
    if (PyType_IsSubtype(value->type, bytearray_type))
        return put_tag(out, 'b') && put_sized(out, PyByteArray_AsString(value), PyByteArray_Size(value));
    if (PyType_IsSubtype(value->type, set_type) || PyType_IsSubtype(value->type, frozenset_type)) return encode_set(out, value, level);
    return refuse_type(out, value, level);
}

uint8_t *eryx_encode(PyObject *value, const char *root, size_t *size) {
    Encoder out = {.root = root};
    Level top = {NULL, NULL, 0, 0};
    if (!encode(&out, value, &top)) {
        free(out.data);
        return NULL;
    }
    *size = out.size;
    return out.data;
}

uint8_t *eryx_encode_call(const char *name, PyObject *positional, PyObject *named, size_t *size) {
    char root[256];
    snprintf(root, sizeof root, "%s() arguments", name);
    Encoder out = {.root = root};
    Level top = {NULL, NULL, 0, 0};
    uint32_t count = 2;
    if (!put_tag(&out, 'l') || !put(&out, &count, sizeof count) || !encode(&out, positional, &top) || !encode(&out, named, &top)) {
        free(out.data);
        return NULL;
    }
    *size = out.size;
    return out.data;
}

/* ---- decoding */

typedef struct {
    const uint8_t *at, *end;
} Decoder;

static PyObject *decode(Decoder *in);

static bool take(Decoder *in, void *into, size_t size) {
    if ((size_t)(in->end - in->at) < size) return PyErr_SetString(eryx_type_error, "truncated value"), false;
    memcpy(into, in->at, size);
    in->at += size;
    return true;
}

static const uint8_t *take_sized(Decoder *in, uint32_t *size) {
    if (!take(in, size, sizeof *size)) return NULL;
    if ((size_t)(in->end - in->at) < *size) return PyErr_SetString(eryx_type_error, "truncated value"), NULL;
    const uint8_t *data = in->at;
    in->at += *size;
    return data;
}

static PyObject *decode_list(Decoder *in) {
    uint32_t count;
    if (!take(in, &count, sizeof count)) return NULL;
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (uint32_t i = 0; list && i < count; i++) {
        PyObject *item = decode(in);
        if (!item || PyList_SetItem(list, (Py_ssize_t)i, item)) {
            Py_DecRef(list);
            return NULL;
        }
    }
    return list;
}

static PyObject *decode_dict(Decoder *in) {
    uint32_t count, size;
    if (!take(in, &count, sizeof count)) return NULL;
    PyObject *dict = PyDict_New();
    for (uint32_t i = 0; dict && i < count; i++) {
        const uint8_t *text = take_sized(in, &size);
        PyObject *key = text ? PyUnicode_DecodeUTF8((const char *)text, (Py_ssize_t)size, NULL) : NULL;
        PyObject *item = key ? decode(in) : NULL;
        bool good = item && PyDict_SetItem(dict, key, item) == 0;
        if (key) Py_DecRef(key);
        if (item) Py_DecRef(item);
        if (!good) {
            Py_DecRef(dict);
            return NULL;
        }
    }
    return dict;
}

static PyObject *constant(unsigned int which) {
    PyObject *object = Py_GetConstantBorrowed(which);
    Py_IncRef(object);
    return object;
}

static PyObject *decode_scalar(Decoder *in, char tag) {
    uint32_t size;
    const uint8_t *data;
    long long integer;
    double number;
    switch (tag) {
    case 'i': return take(in, &integer, sizeof integer) ? PyLong_FromLongLong(integer) : NULL;
    case 'I': return (data = take_sized(in, &size)) ? PyLong_FromNativeBytes(data, size, 1 /* little-endian */) : NULL;
    case 'd': return take(in, &number, sizeof number) ? PyFloat_FromDouble(number) : NULL;
    case 's': return (data = take_sized(in, &size)) ? PyUnicode_DecodeUTF8((const char *)data, (Py_ssize_t)size, NULL) : NULL;
    case 'b': return (data = take_sized(in, &size)) ? PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)size) : NULL;
    default: return PyErr_SetString(eryx_type_error, "unknown tag"), NULL;
    }
}

static PyObject *decode(Decoder *in) {
    char tag;
    if (!take(in, &tag, 1)) return NULL;
    switch (tag) {
    case 'n': return constant(Py_CONSTANT_NONE);
    case 't': return constant(Py_CONSTANT_TRUE);
    case 'f': return constant(Py_CONSTANT_FALSE);
    case 'l': return decode_list(in);
    case 'm': return decode_dict(in);
    default: return decode_scalar(in, tag);
    }
}

PyObject *eryx_decode(const uint8_t *data, size_t size) {
    Decoder in = {data, data + size};
    return decode(&in);
}
