/* Record batches of magic 2 to columns. What `plain.decode` says holds here; no byte of the input is believed. */
#include "sink.h"

#define MIN_RECORD 7 /* bytes: a length, attributes, two deltas, two lengths, a count */

/* Numbers: false where the data ends or they have too many bits. */

static bool read_long(const uint8_t **at, const uint8_t *end, int most, int64_t *number) {
    uint64_t value = 0;
    const uint8_t *p = *at;
    for (int i = 0; i < most && p < end; i++) {
        uint64_t byte = *p++;
        if (i == 9 && byte > 1) return false;
        value |= (byte & 127) << 7 * i;
        if (byte < 128) {
            if (most == 5 && value >> 32) return false;
            *number = (int64_t)(value >> 1 ^ (0 - (value & 1)));
            *at = p;
            return true;
        }
    }
    return false;
}

static inline bool read_int64(const uint8_t **at, const uint8_t *end, int64_t *number) {
    const uint8_t *p = *at;
    if (LIKELY(p < end && *p < 128)) {
        *number = *p >> 1 ^ -(*p & 1);
        *at = p + 1;
        return true;
    }
    return read_long(at, end, 10, number);
}

static inline bool read_int32(const uint8_t **at, const uint8_t *end, int32_t *number) {
    const uint8_t *p = *at;
    if (LIKELY(end - p >= 2)) {
        uint32_t value = p[0];
        if (value < 128) {
            *number = (int32_t)(value >> 1 ^ (0 - (value & 1)));
            *at = p + 1;
            return true;
        }
        if (LIKELY(p[1] < 128)) {
            value = (value & 127) | (uint32_t)p[1] << 7;
            *number = (int32_t)(value >> 1 ^ (0 - (value & 1)));
            *at = p + 2;
            return true;
        }
    }
    int64_t wide;
    if (!read_long(at, end, 5, &wide)) return false;
    *number = (int32_t)wide;
    return true;
}

/* A length, and past its bytes; any negative one is that of a null. */
static inline bool read_string(const uint8_t **at, const uint8_t *end, const uint8_t **data, int32_t *size) {
    if (UNLIKELY(!read_int32(at, end, size))) return false;
    *data = *at;
    if (*size >= 0) {
        if (UNLIKELY(*size > end - *at)) return false;
        *at += *size;
    }
    return true;
}

typedef enum { FINE, NO_MEMORY, EARLY_END, WRONG_LENGTH, TRAILING, TOO_MANY, NO_NAME, HEADER_COUNT, BITS } Outcome;

static const char *const said[] = {
    [EARLY_END] = "the records end early",
    [WRONG_LENGTH] = "a record's length is not what its fields take",
    [TRAILING] = "there are bytes after the last record",
    [TOO_MANY] = "it has fewer bytes than its records would take",
    [NO_NAME] = "a record header without a name",
    [HEADER_COUNT] = "a record with a negative number of headers",
    [BITS] = "a record's timestamp or offset exceeds 64 bits",
};

/* The headers of one record, added where `sink` is not NULL. */
static Outcome read_headers(Sink *sink, const uint8_t **at, const uint8_t *end) {
    int32_t count;
    if (!read_int32(at, end, &count)) return EARLY_END;
    if (count < 0) return HEADER_COUNT;
    if (count > (end - *at) / 2) return EARLY_END;
    if (sink && (!grow_strings(&sink->names, (size_t)count) || !grow_strings(&sink->values, (size_t)count)))
        return NO_MEMORY;
    for (; count; count--) {
        const uint8_t *name, *value;
        int32_t name_size, value_size;
        if (!read_string(at, end, &name, &name_size)) return EARLY_END;
        if (name_size < 0) return NO_NAME;
        if (!read_string(at, end, &value, &value_size)) return EARLY_END;
        if (sink && (!add_string(&sink->names, name, name_size) || !add_string(&sink->values, value, value_size)))
            return NO_MEMORY;
    }
    return FINE;
}

typedef struct {
    int64_t base_offset, base_timestamp, append_time, first_wanted;
    int32_t count;
    int32_t partition;
    int8_t kind;
} Frame;

/* All records of a batch, from `p` to `end`, that are wanted. Needs no GIL. */
static Outcome read_records(Sink *sink, const Frame *frame, const uint8_t *p, const uint8_t *end) {
    if (frame->count < 0 || frame->count > (end - p) / MIN_RECORD) return TOO_MANY;
    if (!grow_sink(sink, (size_t)frame->count)) return NO_MEMORY;
    for (int32_t i = 0; i < frame->count; i++) {
        const uint8_t *key, *value;
        int32_t length, delta, key_size, value_size;
        int64_t since, offset, timestamp;
        if (UNLIKELY(!read_int32(&p, end, &length))) return EARLY_END;
        if (UNLIKELY(length < 1 || length > end - p)) return length < 1 ? WRONG_LENGTH : EARLY_END;
        const uint8_t *record_end = p + length;
        p++; /* attributes, unused */
        if (UNLIKELY(!read_int64(&p, record_end, &since) || !read_int32(&p, record_end, &delta) ||
                     !read_string(&p, record_end, &key, &key_size) || !read_string(&p, record_end, &value, &value_size)))
            return WRONG_LENGTH;
        if (UNLIKELY(__builtin_add_overflow(frame->base_offset, (int64_t)delta, &offset))) return BITS;
        if (frame->kind)
            timestamp = frame->append_time;
        else if (UNLIKELY(__builtin_add_overflow(frame->base_timestamp, since, &timestamp)))
            return BITS;
        bool is_wanted = offset >= frame->first_wanted;
        if (LIKELY(p < record_end && *p == 0)) {
            p++;
        } else {
            Outcome outcome = read_headers(is_wanted ? sink : NULL, &p, record_end);
            if (outcome != FINE) return outcome == EARLY_END ? WRONG_LENGTH : outcome;
        }
        if (UNLIKELY(p != record_end)) return WRONG_LENGTH;
        if (!is_wanted) continue;
        size_t row = sink->count++;
        ((int32_t *)sink->partition.memory)[row] = frame->partition;
        ((int64_t *)sink->offset.memory)[row] = offset;
        ((int64_t *)sink->timestamp.memory)[row] = timestamp;
        ((int8_t *)sink->kind.memory)[row] = frame->kind;
        ((int32_t *)sink->header_offsets.memory)[row + 1] = (int32_t)sink->names.count;
        if (UNLIKELY(!add_string(&sink->key, key, key_size) || !add_string(&sink->value, value, value_size)))
            return NO_MEMORY;
    }
    return p == end ? FINE : TRAILING;
}

/* Faults are KafkaErrors, as those of `decompress` are. */

static PyObject *attribute(const char *module, const char *name) {
    PyObject *imported = PyImport_ImportModule(module);
    PyObject *found = imported ? PyObject_GetAttrString(imported, name) : NULL;
    Py_XDECREF(imported);
    return found;
}

static PyObject *kafka_error(const char *code_name, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    PyObject *message = PyUnicode_FromFormatV(format, arguments);
    va_end(arguments);
    PyObject *codes = message ? attribute("ottla.protocol.errors", "ErrorCode") : NULL;
    PyObject *code = codes ? PyObject_GetAttrString(codes, code_name) : NULL;
    PyObject *type = code ? attribute("ottla.protocol.errors", "KafkaError") : NULL;
    PyObject *made = type ? PyObject_CallFunctionObjArgs(type, code, message, NULL) : NULL;
    Py_XDECREF(message);
    Py_XDECREF(codes);
    Py_XDECREF(code);
    Py_XDECREF(type);
    return made;
}

/* The exception that is set, if it is a KafkaError; otherwise NULL, and it stays set. */
static PyObject *caught(void) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *expected = attribute("ottla.protocol.errors", "KafkaError");
    if (!expected || !PyErr_GivenExceptionMatches(type, expected)) {
        Py_XDECREF(expected);
        PyErr_Restore(type, value, traceback);
        return NULL;
    }
    Py_DECREF(expected);
    PyErr_NormalizeException(&type, &value, &traceback);
    Py_DECREF(type);
    Py_XDECREF(traceback);
    return value;
}

typedef struct {
    int32_t partition;
    int64_t fetch_offset, next_offset, leader_epoch;
    PyObject *aborted, *active;
    int check_crcs;
    Py_ssize_t max_records, max_bytes, max_batch_bytes;
    Sink *sink;
    PyObject *fault;
} Decoder;

/* Move those transactions that begin up to `last_offset` to the active ones. */
static bool begin_aborted(Decoder *self, int64_t last_offset) {
    Py_ssize_t left;
    while ((left = PyList_Size(self->aborted)) > 0) {
        PyObject *next = PyList_GetItem(self->aborted, left - 1);
        long long first, producer;
        if (!next || !PyArg_ParseTuple(next, "LL", &first, &producer)) return false;
        if (first > last_offset) return true;
        PyObject *number = PyTuple_GetItem(next, 1);
        if (!number || PySet_Add(self->active, number) || PyList_SetSlice(self->aborted, left - 1, left, NULL))
            return false;
    }
    return left == 0;
}

/* Whether `producer` is inside of an aborted transaction: 1, 0, or -1 with an exception. */
static int is_active(Decoder *self, int64_t producer) {
    if (PySet_Size(self->active) == 0) return 0;
    PyObject *number = PyLong_FromLongLong(producer);
    if (!number) return -1;
    int found = PySet_Contains(self->active, number);
    Py_DECREF(number);
    return found;
}

/* Take `producer` out of the active ones where the control record just read, the last row, says abort. */
static bool end_aborted(Decoder *self, int64_t producer, size_t row) {
    const Strings *key = &self->sink->key;
    if (row == self->sink->count) return true; /* an empty batch */
    const int32_t *ends = (const int32_t *)key->offsets.memory + row;
    if (ends[1] - ends[0] < 4) {
        self->fault = kafka_error("corrupt_message", "a control record's key has fewer than 4 bytes");
        return false;
    }
    if (get16(key->data.memory + ends[0] + 2) != 0) return true;
    PyObject *number = PyLong_FromLongLong(producer);
    int removed = number ? PySet_Discard(self->active, number) : -1;
    Py_XDECREF(number);
    return removed >= 0;
}

/* The records of a batch, inflated where they have to be. False with a fault, or with an exception. */
static bool read_batch(Decoder *self, const Frame *frame, int codec, const uint8_t *records, size_t size) {
    PyObject *inflated = NULL;
    if ((Py_ssize_t)size > self->max_batch_bytes) {
        self->fault = kafka_error("message_too_large", "it has more than %zd bytes", self->max_batch_bytes);
        return false;
    }
    if (codec && frame->count) {
        PyObject *decompress = attribute("ottla.records.compression", "decompress");
        if (decompress)
            inflated = PyObject_CallFunction(
                decompress, "iy#n", codec, (const char *)records, (Py_ssize_t)size, self->max_batch_bytes);
        Py_XDECREF(decompress);
        char *data;
        Py_ssize_t length;
        if (!inflated) {
            self->fault = caught();
            return false;
        }
        if (PyBytes_AsStringAndSize(inflated, &data, &length)) {
            Py_DECREF(inflated);
            return false;
        }
        records = (const uint8_t *)data;
        size = (size_t)length;
    }
    Outcome outcome;
    if (size >= GIL_THRESHOLD) {
        Py_BEGIN_ALLOW_THREADS
        outcome = read_records(self->sink, frame, records, records + size);
        Py_END_ALLOW_THREADS
    } else {
        outcome = read_records(self->sink, frame, records, records + size);
    }
    Py_XDECREF(inflated);
    if (outcome == NO_MEMORY)
        PyErr_NoMemory();
    else if (outcome != FINE)
        self->fault = kafka_error("corrupt_message", "%s", said[outcome]);
    return outcome == FINE;
}

static bool has_right_crc(const uint8_t *batch, size_t size) {
    uint32_t crc;
    if (size >= GIL_THRESHOLD) {
        Py_BEGIN_ALLOW_THREADS
        crc = crc32c(batch + ATTRIBUTES, size - ATTRIBUTES);
        Py_END_ALLOW_THREADS
    } else {
        crc = crc32c(batch + ATTRIBUTES, size - ATTRIBUTES);
    }
    return crc == get32(batch + CRC);
}

/* A whole batch of magic 2. False with a fault, or with an exception; the sink may have part of it then. */
static bool decode_batch(Decoder *self, const uint8_t *batch, size_t size) {
    if (self->check_crcs && !has_right_crc(batch, size)) {
        self->fault = kafka_error("corrupt_message", "its CRC is wrong");
        return false;
    }
    int64_t base_offset = (int64_t)get64(batch + BASE_OFFSET), last_offset;
    int32_t last_delta = (int32_t)get32(batch + LAST_OFFSET_DELTA);
    if (base_offset < 0 || last_delta < 0 || __builtin_add_overflow(base_offset, (int64_t)last_delta, &last_offset) ||
        last_offset == INT64_MAX) {
        self->fault = kafka_error(
            "corrupt_message", "its offsets are %lld and %d more", (long long)base_offset, (int)last_delta);
        return false;
    }
    if (!begin_aborted(self, last_offset)) return false;
    uint16_t attributes = get16(batch + ATTRIBUTES);
    int64_t producer = (int64_t)get64(batch + PRODUCER_ID);
    int is_aborted = attributes & TRANSACTIONAL ? is_active(self, producer) : 0;
    if (is_aborted < 0) return false;
    bool is_control = attributes & CONTROL;
    if (is_control == !!is_aborted && (is_control || last_offset >= self->fetch_offset)) {
        Frame frame = {
            .base_offset = base_offset,
            .base_timestamp = (int64_t)get64(batch + BASE_TIMESTAMP),
            .append_time = (int64_t)get64(batch + MAX_TIMESTAMP),
            .first_wanted = is_control ? INT64_MIN : self->fetch_offset,
            .count = (int32_t)get32(batch + RECORD_COUNT),
            .partition = self->partition,
            .kind = attributes & LOG_APPEND_TIME ? 1 : 0,
        };
        Mark before = mark(self->sink);
        if (!read_batch(self, &frame, attributes & CODEC_MASK, batch + HEADER_SIZE, size - HEADER_SIZE)) return false;
        if (is_control) {
            if (!end_aborted(self, producer, before.count)) return false;
            go_back(self->sink, &before);
        }
    }
    self->next_offset = last_offset + 1;
    self->leader_epoch = (int32_t)get32(batch + LEADER_EPOCH);
    return true;
}

/* The bytes of the whole batch at `data`; 0 where decoding ends before it, with a fault or without. */
static size_t next_batch(Decoder *self, const uint8_t *data, size_t left) {
    if (left <= MAGIC || data[MAGIC] < 2) return 0;
    if (data[MAGIC] != 2) {
        self->fault = kafka_error("corrupt_message", "there is no magic %d", (int)data[MAGIC]);
        return 0;
    }
    if (left < HEADER_SIZE) return 0;
    int64_t size = (int64_t)(int32_t)get32(data + LENGTH) + LEADER_EPOCH;
    if (size < HEADER_SIZE) {
        self->fault = kafka_error("corrupt_message", "it says that it has %lld bytes", (long long)size);
        return 0;
    }
    return (size_t)size <= left ? (size_t)size : 0;
}

/* Look ahead how much will come, by what the headers say so far as they can be right, and make room for it and for
 * what is expected of others. */
static bool reserve_for(Decoder *self, const uint8_t *data, Py_ssize_t pos, Py_ssize_t end, size_t expected) {
    size_t rows = 0, bytes = 0, most = (size_t)self->max_bytes;
    Py_ssize_t start = pos;
    while (end - pos >= HEADER_SIZE && rows < (size_t)self->max_records && bytes < most) {
        const uint8_t *batch = data + pos;
        int64_t size = (int64_t)(int32_t)get32(batch + LENGTH) + LEADER_EPOCH;
        int64_t count = (int32_t)get32(batch + RECORD_COUNT), payload = size - HEADER_SIZE;
        if (batch[MAGIC] != 2 || payload < 0 || size > end - pos || payload > self->max_batch_bytes) break;
        int64_t last = (int64_t)((uint64_t)get64(batch) + get32(batch + LAST_OFFSET_DELTA));
        if (last >= self->fetch_offset && count > 0) {
            if (get16(batch + ATTRIBUTES) & CODEC_MASK) payload *= 2; /* as most compress to a half or less */
            rows += (size_t)(count < payload / MIN_RECORD ? count : payload / MIN_RECORD);
            bytes += (size_t)payload;
        }
        pos += size;
    }
    if (rows && rows < (size_t)self->max_records && bytes < most && expected > (size_t)(pos - start)) {
        double times = (double)expected / (double)(pos - start), most_times = (double)self->max_records / (double)rows;
        if (times > most_times) times = most_times;
        if (times > (double)most / (double)bytes) times = (double)most / (double)bytes;
        rows = (size_t)((double)rows * times);
        bytes = (size_t)((double)bytes * times);
    }
    return reserve_sink(self->sink, rows, bytes);
}

/* Whether there is room for the batch, which may be anything yet, beside the rows that there are. */
static bool has_room(const Decoder *self, const uint8_t *batch) {
    size_t count = self->sink->count;
    int32_t more = (int32_t)get32(batch + RECORD_COUNT);
    if (!count) return true;
    return (Py_ssize_t)used(self->sink) < self->max_bytes &&
           (Py_ssize_t)count + (more > 1 ? more : 1) <= self->max_records;
}

/* decode(sink, data, pos, partition, fetch_offset, (next_offset, leader_epoch), aborted, active, check_crcs, limits) */
PyObject *py_decode(PyObject *module, PyObject *args) {
    Py_buffer data;
    Py_ssize_t pos;
    int partition;
    long long fetch_offset, next_offset, leader_epoch;
    Decoder self = {0};
    SinkObject *sink;
    if (!PyArg_ParseTuple(args, "O!y*niL(LL)O!O!p(nnn):decode", state_of(module)->sink_type, &sink, &data, &pos,
                          &partition, &fetch_offset, &next_offset, &leader_epoch, &PyList_Type, &self.aborted,
                          &PySet_Type, &self.active, &self.check_crcs, &self.max_records, &self.max_bytes,
                          &self.max_batch_bytes))
        return NULL;
    self.partition = partition;
    self.fetch_offset = fetch_offset;
    self.next_offset = next_offset;
    self.leader_epoch = leader_epoch;
    self.sink = &sink->sink;
    PyObject *result = NULL;
    if (!is_idle(sink)) {
        PyBuffer_Release(&data);
        return NULL;
    }
    sink->is_busy = true;
    if (pos < 0 || pos > data.len || self.max_bytes > INT32_MAX / 2 || self.max_batch_bytes > INT32_MAX / 2) {
        PyErr_SetString(PyExc_ValueError, "the position or a limit is out of range");
        goto done;
    }
    if (!self.sink->count && !reserve_for(&self, data.buf, pos, data.len, sink->expected)) {
        PyErr_NoMemory();
        goto done;
    }
    size_t size;
    while ((size = next_batch(&self, (const uint8_t *)data.buf + pos, (size_t)(data.len - pos)))) {
        const uint8_t *batch = (const uint8_t *)data.buf + pos;
        if (!has_room(&self, batch)) break;
        Mark before = mark(self.sink);
        if (!decode_batch(&self, batch, size)) {
            go_back(self.sink, &before);
            break;
        }
        pos += (Py_ssize_t)size;
    }
    if (!PyErr_Occurred())
        result = Py_BuildValue("(nLLO)", pos, (long long)self.next_offset, (long long)self.leader_epoch,
                               self.fault ? self.fault : Py_None);
done:
    sink->is_busy = false;
    Py_XDECREF(self.fault);
    PyBuffer_Release(&data);
    return result;
}

/* last_batch(data) */
PyObject *py_last_batch(PyObject *module, PyObject *object) {
    Py_buffer data;
    (void)module;
    if (PyObject_GetBuffer(object, &data, PyBUF_SIMPLE)) return NULL;
    const uint8_t *begin = data.buf;
    Py_ssize_t last = -1, at = 0;
    while (data.len - at >= HEADER_SIZE) {
        int64_t size = (int64_t)(int32_t)get32(begin + at + LENGTH) + LEADER_EPOCH;
        if (size < HEADER_SIZE || size > data.len - at) break;
        last = at;
        at += (Py_ssize_t)size;
    }
    PyBuffer_Release(&data);
    return PyLong_FromSsize_t(last);
}
