/* What the files of `_columns` know of one another. The stable ABI of Python 3.11 (buffers are part of it since). */
#ifndef OTTLA_COLUMNS_H
#define OTTLA_COLUMNS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#define HEADER_SIZE 61
#define ROW_BYTES 32          /* binary.ROW_BYTES */
#define GIL_THRESHOLD (1 << 18) /* bytes from which on a batch is worth letting other threads run */

/* Where the fields of a batch's header begin, and what its attributes say. */
enum { BASE_OFFSET = 0, LENGTH = 8, LEADER_EPOCH = 12, MAGIC = 16, CRC = 17, ATTRIBUTES = 21, LAST_OFFSET_DELTA = 23,
       BASE_TIMESTAMP = 27, MAX_TIMESTAMP = 35, PRODUCER_ID = 43, PRODUCER_EPOCH = 51, BASE_SEQUENCE = 53,
       RECORD_COUNT = 57 };
enum { CODEC_MASK = 7, LOG_APPEND_TIME = 8, TRANSACTIONAL = 16, CONTROL = 32 };

typedef struct {
    PyTypeObject *buffer_type;
    PyTypeObject *records_type;
    PyTypeObject *builder_type;
    PyTypeObject *sink_type;
} State;

static inline State *state_of(PyObject *module) { return (State *)PyModule_GetState(module); }

/* memory.c: memory that grows, and becomes an object with the buffer protocol. */

typedef struct {
    uint8_t *memory;
    size_t capacity; /* bytes */
} Growing;

/* As `grow`; what there is none of yet is taken from what was kept. Under the GIL. */
bool reserve(Growing *growing, size_t size);
/* Room for `size` bytes; false, and nothing changed, where there is none. Needs no GIL. */
bool grow(Growing *growing, size_t size);
void drop(Growing *growing); /* Under the GIL. */
/* A memoryview of the first `count` items of `format` ('i', 'q', 'b', 'B'), which owns the memory from here on. */
PyObject *take(State *state, Growing *growing, size_t count, char format);
PyObject *py_allocate(PyObject *module, PyObject *args);
extern PyType_Spec buffer_spec;

/* checksums.c */

void init_checksums(void);
uint32_t crc32c(const uint8_t *data, size_t size);
uint32_t extend_crc32c(uint32_t crc, const uint8_t *data, size_t size); /* by what comes behind */
/* What a CRC adds to that of its bytes and `size` more: the CRC of both is this, xor that of the latter alone. */
uint32_t shift_crc32c(uint32_t crc, size_t size);
PyObject *py_crc32c(PyObject *module, PyObject *args);
PyObject *py_hash_key(PyObject *module, PyObject *args);
PyObject *py_hash_keys(PyObject *module, PyObject *args);
PyObject *py_group_rows(PyObject *module, PyObject *args);

/* rows.c: columns that are given, and read row by row. Nothing in them is believed. */

typedef struct {
    Py_buffer offsets, data, validity; /* validity.obj is NULL where nothing is null */
    Py_ssize_t start, length;
} Binary;

typedef struct {
    Py_buffer offsets;
    Binary names, values;
    Py_ssize_t start, length;
} Headers;

typedef struct {
    Py_buffer partition, offset, timestamp, kind;
    Binary key, value;
    Headers headers;
    Py_ssize_t length;
} Rows;

typedef struct {
    const uint8_t *data; /* NULL for a null */
    size_t size;
} String;

bool open_binary(PyObject *raw, Binary *binary);
void close_binary(Binary *binary);
bool open_rows(PyObject *raw, Rows *rows);
void close_rows(Rows *rows);

static inline int64_t offset_at(const Py_buffer *offsets, Py_ssize_t at) {
    return offsets->itemsize == 4 ? ((const int32_t *)offsets->buf)[at] : ((const int64_t *)offsets->buf)[at];
}

/* False, without an exception, where the offsets point outside of the data. */
static inline bool string_at(const Binary *binary, Py_ssize_t row, String *string) {
    Py_ssize_t at = binary->start + row;
    if (binary->validity.obj && !(((const uint8_t *)binary->validity.buf)[at >> 3] >> (at & 7) & 1)) {
        string->data = NULL;
        string->size = 0;
        return true;
    }
    int64_t first = offset_at(&binary->offsets, at), last = offset_at(&binary->offsets, at + 1);
    if (UNLIKELY(first < 0 || last < first || last > binary->data.len)) return false;
    string->data = first == last ? (const uint8_t *)"" : (const uint8_t *)binary->data.buf + first;
    string->size = (size_t)(last - first);
    return true;
}

/* The headers of `row` are entries first to last (not included) of names and values. */
static inline bool headers_at(const Headers *headers, Py_ssize_t row, int64_t *first, int64_t *last) {
    Py_ssize_t at = headers->start + row;
    *first = offset_at(&headers->offsets, at);
    *last = offset_at(&headers->offsets, at + 1);
    return LIKELY(*first >= 0 && *last >= *first && *last <= headers->names.length);
}

PyObject *outside(void); /* ValueError for what the two above refuse; NULL */
PyObject *py_strings(PyObject *module, PyObject *args);
PyObject *py_records(PyObject *module, PyObject *args);
extern PyType_Spec records_spec;

/* concat.c, sink.c, decode.c, encode.c and lines.c */

PyObject *py_concat(PyObject *module, PyObject *args);
PyObject *py_decode(PyObject *module, PyObject *args);
PyObject *py_last_batch(PyObject *module, PyObject *data);
PyObject *py_seal(PyObject *module, PyObject *args);
PyObject *py_split(PyObject *module, PyObject *args);
PyObject *py_join(PyObject *module, PyObject *args);
extern PyType_Spec sink_spec, builder_spec;

/* Big-endian numbers of a batch's header. */

static inline uint64_t get64(const uint8_t *p) {
    uint64_t number;
    memcpy(&number, p, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    number = __builtin_bswap64(number);
#endif
    return number;
}

static inline uint32_t get32(const uint8_t *p) {
    uint32_t number;
    memcpy(&number, p, 4);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    number = __builtin_bswap32(number);
#endif
    return number;
}

static inline uint16_t get16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }

static inline void put64(uint8_t *p, uint64_t number) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    number = __builtin_bswap64(number);
#endif
    memcpy(p, &number, 8);
}

static inline void put32(uint8_t *p, uint32_t number) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    number = __builtin_bswap32(number);
#endif
    memcpy(p, &number, 4);
}

static inline void put16(uint8_t *p, uint16_t number) {
    p[0] = (uint8_t)(number >> 8);
    p[1] = (uint8_t)number;
}

#endif
