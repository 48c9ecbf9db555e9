/* CRC-32C of batches, the hashes of keys that partitioners use, and rows sorted by partition. */
#include "columns.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#define HARDWARE __attribute__((target("sse4.2")))
#define crc_8_bytes(crc, word) _mm_crc32_u64(crc, word)
#define crc_byte(crc, byte) _mm_crc32_u8((uint32_t)(crc), byte)
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#define HARDWARE
#define crc_8_bytes(crc, word) __crc32cd((uint32_t)(crc), word)
#define crc_byte(crc, byte) __crc32cb((uint32_t)(crc), byte)
#endif

#define CASTAGNOLI 0x82F63B78u
#define IEEE 0xEDB88320u
#define STRIDE 512 /* bytes of each of the three streams that the processor works on at a time */

static uint32_t tables[8][256];  /* tables[k][b]: the CRC-32C of byte b with k zero bytes behind it */
static uint32_t past_stride[4][256]; /* what byte k of a CRC becomes after STRIDE zero bytes */
static uint32_t powers[32]; /* powers[n]: x to the 2^n, modulo the polynomial */
static uint32_t ieee[256];
static bool has_hardware;

static uint32_t of_bit(uint32_t crc, uint32_t polynomial) { return crc & 1 ? crc >> 1 ^ polynomial : crc >> 1; }

static uint32_t of_byte(uint32_t byte, uint32_t polynomial) {
    for (int bit = 0; bit < 8; bit++) byte = of_bit(byte, polynomial);
    return byte;
}

/* Of two polynomials modulo Castagnoli's; the highest bit of a number is the power 0. */
static uint32_t times(uint32_t a, uint32_t b) {
    uint32_t product = 0;
    for (; a; a <<= 1, b = of_bit(b, CASTAGNOLI))
        if (a >> 31) product ^= b;
    return product;
}

void init_checksums(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        tables[0][byte] = of_byte(byte, CASTAGNOLI);
        ieee[byte] = of_byte(byte, IEEE);
    }
    for (int k = 1; k < 8; k++)
        for (int byte = 0; byte < 256; byte++)
            tables[k][byte] = tables[k - 1][byte] >> 8 ^ tables[0][tables[k - 1][byte] & 255];
    powers[0] = 1u << 30;
    for (int n = 1; n < 32; n++) powers[n] = times(powers[n - 1], powers[n - 1]);
    uint32_t bits[32];
    for (int bit = 0; bit < 32; bit++) {
        bits[bit] = 1u << bit;
        for (int i = 0; i < STRIDE; i++) bits[bit] = bits[bit] >> 8 ^ tables[0][bits[bit] & 255];
    }
    for (int k = 0; k < 4; k++)
        for (int byte = 0; byte < 256; byte++) {
            past_stride[k][byte] = 0;
            for (int bit = 0; bit < 8; bit++)
                if (byte >> bit & 1) past_stride[k][byte] ^= bits[8 * k + bit];
        }
#if defined(__x86_64__)
    has_hardware = __builtin_cpu_supports("sse4.2");
#elif defined(HARDWARE)
    has_hardware = true;
#endif
}

#ifdef HARDWARE
static inline uint64_t word_at(const uint8_t *data) {
    uint64_t word;
    memcpy(&word, data, 8);
    return word;
}

static inline uint32_t skip_stride(uint32_t crc) {
    return past_stride[0][crc & 255] ^ past_stride[1][crc >> 8 & 255] ^ past_stride[2][crc >> 16 & 255] ^
           past_stride[3][crc >> 24];
}

HARDWARE static uint32_t in_hardware(uint32_t crc, const uint8_t *data, size_t size) {
    uint64_t first = crc;
    /* An instruction takes one cycle to start and three to end: three streams at a time keep it busy. */
    for (; size >= 3 * STRIDE; data += 3 * STRIDE, size -= 3 * STRIDE) {
        uint64_t second = 0, third = 0;
        for (int i = 0; i < STRIDE; i += 8) {
            first = crc_8_bytes(first, word_at(data + i));
            second = crc_8_bytes(second, word_at(data + STRIDE + i));
            third = crc_8_bytes(third, word_at(data + 2 * STRIDE + i));
        }
        first = skip_stride((uint32_t)first) ^ second;
        first = skip_stride((uint32_t)first) ^ third;
    }
    for (; size >= 8; data += 8, size -= 8) first = crc_8_bytes(first, word_at(data));
    for (; size; data++, size--) first = crc_byte(first, *data);
    return (uint32_t)first;
}
#endif

static uint32_t in_software(uint32_t crc, const uint8_t *data, size_t size) {
    for (; size >= 8; data += 8, size -= 8)
        crc = tables[7][(crc ^ data[0]) & 255] ^ tables[6][(crc >> 8 ^ data[1]) & 255] ^
              tables[5][(crc >> 16 ^ data[2]) & 255] ^ tables[4][crc >> 24 ^ data[3]] ^ tables[3][data[4]] ^
              tables[2][data[5]] ^ tables[1][data[6]] ^ tables[0][data[7]];
    for (; size; data++, size--) crc = crc >> 8 ^ tables[0][(crc ^ *data) & 255];
    return crc;
}

uint32_t extend_crc32c(uint32_t crc, const uint8_t *data, size_t size) {
#ifdef HARDWARE
    if (LIKELY(has_hardware)) return ~in_hardware(~crc, data, size);
#endif
    return ~in_software(~crc, data, size);
}

uint32_t crc32c(const uint8_t *data, size_t size) { return extend_crc32c(0, data, size); }

uint32_t shift_crc32c(uint32_t crc, size_t size) {
    uint32_t factor = 1u << 31;
    for (int n = 3; size; n++, size >>= 1)
        if (size & 1) factor = times(powers[n & 31], factor);
    return times(factor, crc);
}

PyObject *py_crc32c(PyObject *module, PyObject *args) {
    Py_buffer data;
    int hardware = 1;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*|p:crc32c", &data, &hardware)) return NULL;
    uint32_t crc = hardware ? crc32c(data.buf, (size_t)data.len) : ~in_software(~0u, data.buf, (size_t)data.len);
    PyBuffer_Release(&data);
    return PyLong_FromUnsignedLong(crc);
}

/* zlib's, as librdkafka's `consistent` partitioners take it. */
static uint32_t crc32(const uint8_t *data, size_t size) {
    uint32_t crc = ~0u;
    for (; size; data++, size--) crc = crc >> 8 ^ ieee[(crc ^ *data) & 255];
    return ~crc;
}

/* Murmur 2 with Kafka's seed, without the sign bit, which Java's partitioner takes away. */
static uint32_t murmur2(const uint8_t *data, size_t size) {
    const uint32_t multiplier = 0x5bd1e995u;
    uint32_t hash = 0x9747b28cu ^ (uint32_t)size;
    for (; size >= 4; data += 4, size -= 4) {
        uint32_t word = data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
        word *= multiplier;
        word ^= word >> 24;
        word *= multiplier;
        hash = hash * multiplier ^ word;
    }
    if (size > 2) hash ^= (uint32_t)data[2] << 16;
    if (size > 1) hash ^= (uint32_t)data[1] << 8;
    if (size > 0) hash = (hash ^ data[0]) * multiplier;
    hash ^= hash >> 13;
    hash *= multiplier;
    return (hash ^ hash >> 15) & 0x7FFFFFFFu;
}

/* FNV-1a as a signed number without its sign, as librdkafka has it. */
static uint32_t fnv1a(const uint8_t *data, size_t size) {
    uint32_t hash = 0x811c9dc5u;
    for (; size; data++, size--) hash = (hash ^ *data) * 0x01000193u;
    return hash >> 31 ? 0u - hash : hash;
}

typedef uint32_t (*Hash)(const uint8_t *, size_t);

static Hash hash_named(const char *name) {
    if (!strcmp(name, "murmur2")) return murmur2;
    if (!strcmp(name, "crc32")) return crc32;
    if (!strcmp(name, "fnv1a")) return fnv1a;
    PyErr_Format(PyExc_ValueError, "there is no hash %s", name);
    return NULL;
}

/* hash_key(name, key) */
PyObject *py_hash_key(PyObject *module, PyObject *args) {
    const char *name;
    Py_buffer key;
    (void)module;
    if (!PyArg_ParseTuple(args, "sy*:hash_key", &name, &key)) return NULL;
    Hash hash = hash_named(name);
    PyObject *number = hash ? PyLong_FromUnsignedLong(hash(key.buf, (size_t)key.len)) : NULL;
    PyBuffer_Release(&key);
    return number;
}

/* hash_keys(name, key column, partitions, null, empty) */
PyObject *py_hash_keys(PyObject *module, PyObject *args) {
    const char *name;
    PyObject *raw;
    int partitions, null, empty;
    if (!PyArg_ParseTuple(args, "sOiii:hash_keys", &name, &raw, &partitions, &null, &empty)) return NULL;
    Hash hash = hash_named(name);
    if (!hash) return NULL;
    if (partitions < 1) return PyErr_Format(PyExc_ValueError, "%d partitions", partitions);
    Binary keys;
    Growing chosen = {0};
    if (!open_binary(raw, &keys)) return NULL;
    PyObject *result = NULL;
    if (!grow(&chosen, (size_t)keys.length * 4 + 4)) {
        PyErr_NoMemory();
        goto done;
    }
    for (Py_ssize_t row = 0; row < keys.length; row++) {
        String key;
        if (!string_at(&keys, row, &key)) {
            outside();
            goto done;
        }
        ((int32_t *)chosen.memory)[row] = !key.data   ? null
                                          : !key.size ? empty
                                                      : (int32_t)(hash(key.data, key.size) % (uint32_t)partitions);
    }
    result = take(state_of(module), &chosen, (size_t)keys.length, 'i');
done:
    drop(&chosen);
    close_binary(&keys);
    return result;
}

/* group_rows(partition, partitions): the rows in the order of their partitions, and where each begins. */
PyObject *py_group_rows(PyObject *module, PyObject *args) {
    Py_buffer chosen;
    int partitions;
    if (!PyArg_ParseTuple(args, "y*i:group_rows", &chosen, &partitions)) return NULL;
    Growing order = {0}, starts = {0};
    PyObject *result = NULL;
    const int32_t *of_row = chosen.buf;
    size_t count = (size_t)chosen.len / 4;
    if (chosen.len % 4 || partitions < 1) {
        PyErr_SetString(PyExc_ValueError, "no int32 numbers, or no partitions");
        goto done;
    }
    size_t slots = (size_t)partitions + 1;
    if (!grow(&order, count * 8 + 8) || !grow(&starts, slots * 8)) {
        PyErr_NoMemory();
        goto done;
    }
    int64_t *next = (int64_t *)starts.memory;
    memset(next, 0, slots * 8);
    for (size_t row = 0; row < count; row++) {
        if (UNLIKELY(of_row[row] < 0 || of_row[row] >= partitions)) {
            PyErr_Format(PyExc_ValueError, "row %zu is for partition %d of %d", row, (int)of_row[row], partitions);
            goto done;
        }
        next[of_row[row] + 1]++;
    }
    for (int partition = 0; partition < partitions; partition++) next[partition + 1] += next[partition];
    for (size_t row = 0; row < count; row++) ((int64_t *)order.memory)[next[of_row[row]]++] = (int64_t)row;
    /* Each has moved to where the next begins. */
    memmove(next + 1, next, (slots - 1) * 8);
    next[0] = 0;
    PyObject *rows = take(state_of(module), &order, count, 'q');
    PyObject *begins = rows ? take(state_of(module), &starts, slots, 'q') : NULL;
    if (begins) result = PyTuple_Pack(2, rows, begins);
    Py_XDECREF(rows);
    Py_XDECREF(begins);
done:
    drop(&order);
    drop(&starts);
    PyBuffer_Release(&chosen);
    return result;
}
