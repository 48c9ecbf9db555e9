/* Where decoded records go, row by row, until they are taken as columns. */
#ifndef OTTLA_COLUMNS_SINK_H
#define OTTLA_COLUMNS_SINK_H

#include "columns.h"

/* Strings as they come in: their ends, their bytes, and a bit for each, cleared where it is null. */
typedef struct {
    Growing offsets, data, validity;
    size_t count, size, nulls;
} Strings;

typedef struct {
    Growing partition, offset, timestamp, kind, header_offsets;
    Strings key, value, names, values;
    size_t count;
} Sink;

/* How much there was before a batch, to go back to. */
typedef struct {
    size_t count;
    struct { size_t count, size, nulls; } strings[4];
} Mark;

/* The object that Python has: plain.Sink. */
typedef struct {
    PyObject_HEAD
    Sink sink;
    size_t expected; /* bytes, of all that will come, so far as that is known */
    bool is_busy;    /* decoded into, maybe without the GIL */
} SinkObject;

bool is_idle(SinkObject *self); /* false with an exception */

Mark mark(Sink *sink);
void go_back(Sink *sink, const Mark *to);
size_t used(const Sink *sink);
/* Room for `count` strings more; their bytes find theirs as they come. */
bool grow_strings(Strings *strings, size_t count);
/* Room for `count` records more. Headers find theirs when there are any. */
bool grow_sink(Sink *sink, size_t count);
/* What `count` records that are made of `size` bytes will need, so far as that can be said. */
bool reserve_sink(Sink *sink, size_t count, size_t size);

/* There is room for its offset. False where there is none for its bytes. */
static inline bool add_string(Strings *strings, const uint8_t *data, int32_t size) {
    if (size >= 0) {
        size_t end = strings->size + (size_t)size;
        if (UNLIKELY(end > strings->data.capacity) && !grow(&strings->data, end)) return false;
        memcpy(strings->data.memory + strings->size, data, (size_t)size);
        strings->size = end;
    } else {
        strings->validity.memory[strings->count >> 3] &= (uint8_t) ~(1 << (strings->count & 7));
        strings->nulls++;
    }
    ((int32_t *)strings->offsets.memory)[++strings->count] = (int32_t)strings->size;
    return true;
}

#endif
