/* Avro's binary encoding into columns. What `plain` says holds here; no byte of the input is believed. */
#include "programs.h"

bool is_utf8(const uint8_t *data, size_t size) {
    const uint8_t *p = data, *end = data + size;
    while (p < end) {
        uint64_t eight;
        while (end - p >= 8 && (memcpy(&eight, p, 8), !(eight & 0x8080808080808080u))) p += 8;
        if (p == end) break;
        uint8_t first = *p++;
        if (first < 0x80) continue;
        int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
        if (first < 0xc2 || first > 0xf4 || end - p < more) return false;
        uint8_t second = *p;
        if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) || (first == 0xf0 && second < 0x90) ||
            (first == 0xf4 && second > 0x8f))
            return false;
        for (; more; more--)
            if ((*p++ & 0xc0) != 0x80) return false;
    }
    return true;
}

static inline bool read_long(Machine *machine, Input *input, int64_t *number) {
    uint64_t raw;
    if (UNLIKELY(!read_varint(machine, input, &raw))) return false;
    *number = unzigzag(raw);
    return true;
}

static inline bool read_int(Machine *machine, Input *input, int32_t *number) {
    int64_t wide;
    int64_t at = place(machine, input);
    if (UNLIKELY(!read_long(machine, input, &wide))) return false;
    if (UNLIKELY(wide != (int32_t)wide)) return broken(machine, BAD_NUMBER, at);
    *number = (int32_t)wide;
    return true;
}

static inline bool read_bytes(Machine *machine, Input *input, size_t size, const uint8_t **data) {
    if (UNLIKELY((size_t)(input->end - input->at) < size)) return broken(machine, ENDS_EARLY, place(machine, input));
    *data = input->at;
    input->at += size;
    return true;
}

static inline bool read_string(Machine *machine, Input *input, const uint8_t **data, size_t *size) {
    int64_t length, at = place(machine, input);
    if (UNLIKELY(!read_long(machine, input, &length))) return false;
    if (UNLIKELY(length < 0)) return broken(machine, BAD_LENGTH, at);
    *size = (size_t)length;
    return read_bytes(machine, input, *size, data);
}

static bool run_string(Machine *machine, Input *input, int32_t column, bool is_text) {
    const uint8_t *data;
    size_t size;
    if (!read_string(machine, input, &data, &size)) return false;
    if (column < 0) return true;
    if (is_text && UNLIKELY(!is_utf8(data, size))) return broken(machine, BAD_TEXT, data - machine->begin);
    return append_bytes(&machine->columns, column, data, size);
}

static inline bool run_long(Machine *machine, Input *input, int32_t code, int32_t column) {
    int64_t number, at = place(machine, input);
    if (UNLIKELY(!read_long(machine, input, &number))) return false;
    if (column < 0) return true;
    if (code == OP_TIME_MICROS && UNLIKELY(number < 0 || number >= 86400000000))
        return broken(machine, OUT_OF_RANGE, at);
    if (code == OP_LONG_FLOAT) {
        float single = (float)(double)number;
        return append_fixed(&machine->columns, column, &single, 4);
    }
    double wide = (double)number;
    return append_fixed(&machine->columns, column, code == OP_LONG_DOUBLE ? (void *)&wide : (void *)&number, 8);
}

static inline bool run_int(Machine *machine, Input *input, int32_t code, int32_t column) {
    int32_t number;
    int64_t at = place(machine, input);
    if (UNLIKELY(!read_int(machine, input, &number))) return false;
    if (column < 0) return true;
    int64_t wide = number;
    float single = (float)number;
    double real = number;
    switch (code) {
    case OP_INT_LONG: return append_fixed(&machine->columns, column, &wide, 8);
    case OP_INT_FLOAT: return append_fixed(&machine->columns, column, &single, 4);
    case OP_INT_DOUBLE: return append_fixed(&machine->columns, column, &real, 8);
    case OP_TIME_MILLIS:
        if (UNLIKELY(number < 0 || number >= 86400000)) return broken(machine, OUT_OF_RANGE, at);
    }
    return append_fixed(&machine->columns, column, &number, 4);
}

static inline uint64_t little(const uint8_t *data, size_t size) {
    uint64_t number = 0;
    for (size_t i = 0; i < size; i++) number |= (uint64_t)data[i] << 8 * i;
    return number;
}

static bool run_float(Machine *machine, Input *input, int32_t code, int32_t column) {
    const uint8_t *data;
    size_t size = code == OP_DOUBLE ? 8 : 4;
    if (!read_bytes(machine, input, size, &data)) return false;
    if (column < 0) return true;
    uint64_t bits = little(data, size);
    uint32_t half = (uint32_t)bits;
    float single;
    memcpy(&single, &half, 4);
    double wide = single;
    if (code == OP_FLOAT) return append_fixed(&machine->columns, column, &half, 4);
    return append_fixed(&machine->columns, column, code == OP_DOUBLE ? (void *)&bits : (void *)&wide, 8);
}

/* Big-endian two's complement, of any length, as little-endian of the column's width. */
static bool run_decimal(Machine *machine, Input *input, const int32_t *words) {
    const uint8_t *data;
    size_t size = (size_t)words[2], width = (size_t)machine->columns.all[words[1]].width;
    int64_t at = place(machine, input);
    if (words[2] < 0 ? !read_string(machine, input, &data, &size) : !read_bytes(machine, input, size, &data))
        return false;
    uint8_t sign = size && data[0] & 128 ? 255 : 0, number[32], magnitude[32];
    for (; size > width; size--)
        if (*data++ != sign) return broken(machine, OUT_OF_RANGE, at);
    if (size && (data[0] & 128 ? 255 : 0) != sign) return broken(machine, OUT_OF_RANGE, at);
    for (size_t i = 0; i < width; i++) number[i] = i < size ? data[size - 1 - i] : sign;
    unsigned carry = 1;
    for (size_t i = 0; i < width; i++) {
        carry += sign ? (uint8_t)~number[i] : 0u;
        magnitude[i] = sign ? (uint8_t)carry : number[i];
        carry >>= 8;
    }
    const uint8_t *most = machine->program->constants + machine->program->ends[words[3]];
    for (size_t i = width; i--;) {
        if (magnitude[i] < most[i]) break;
        if (magnitude[i] > most[i]) return broken(machine, OUT_OF_RANGE, at);
    }
    return append_fixed(&machine->columns, words[1], number, width);
}

static bool run_uuid(Machine *machine, Input *input, int32_t column) {
    static const char digits[] = "0123456789abcdef";
    const uint8_t *data;
    uint8_t text[36], *p = text;
    if (!read_bytes(machine, input, 16, &data)) return false;
    if (column < 0) return true;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) *p++ = '-';
        *p++ = (uint8_t)digits[data[i] >> 4];
        *p++ = (uint8_t)digits[data[i] & 15];
    }
    return append_bytes(&machine->columns, column, text, 36);
}

static bool run_duration(Machine *machine, Input *input, int32_t column) {
    const uint8_t *data;
    if (!read_bytes(machine, input, 12, &data)) return false;
    if (column < 0) return true;
    for (int i = 0; i < 3; i++) {
        uint32_t number = (uint32_t)little(data + i * 4, 4);
        if (!append_fixed(&machine->columns, column + 1 + i, &number, 4)) return false;
    }
    return append_struct(&machine->columns, column);
}

static bool append_constant(Machine *machine, int32_t column, int32_t constant) {
    const Program *program = machine->program;
    int64_t start = program->ends[constant], end = program->ends[constant + 1];
    return append_bytes(&machine->columns, column, program->constants + start, (size_t)(end - start));
}

static bool run_enum(Machine *machine, Input *input, const int32_t *words) {
    int32_t symbol;
    int64_t at = place(machine, input);
    if (!read_int(machine, input, &symbol)) return false;
    if (symbol < 0 || symbol >= words[3]) return broken(machine, BAD_SYMBOL, at);
    if (words[1] < 0) return true;
    int32_t constant = words[4 + symbol] < 0 ? words[2] : words[4 + symbol];
    if (constant < 0) return broken(machine, BAD_SYMBOL, at);
    return append_constant(machine, words[1], constant);
}

/* Blocks of items, of a map with a key each. A block that tells its size can be passed over. */
static bool run_blocks(Machine *machine, Input *input, const int32_t *words, bool is_map) {
    int32_t column = words[1];
    for (;;) {
        int64_t count, size = -1, at = place(machine, input);
        if (!read_long(machine, input, &count)) return false;
        if (!count) break;
        if (count < 0) {
            if (count == INT64_MIN || !read_long(machine, input, &size)) return broken(machine, BAD_LENGTH, at);
            count = -count;
            if (size < 0 || size > input->end - input->at) return broken(machine, BAD_LENGTH, at);
            if (column < 0) {
                input->at += size;
                continue;
            }
        }
        for (; count; count--) {
            if (is_map) {
                if (UNLIKELY(--machine->steps < 0)) return broken(machine, TOO_MUCH, 0);
                if (!run_string(machine, input, column < 0 ? -1 : column + 2, true)) return false;
            }
            if (!run(machine, input, words[2])) return false;
            if (is_map && column >= 0 && !append_struct(&machine->columns, column + 1)) return false;
        }
    }
    return column < 0 || append_list(&machine->columns, column);
}

static bool run_member(Machine *machine, Input *input, const int32_t *words) {
    Columns *columns = &machine->columns;
    int32_t column = words[1], index = 0;
    for (int32_t child = column + 1; child < columns->all[column].end; child = columns->all[child].end, index++)
        if (index == words[2] ? !run(machine, input, words[3]) : !append_null(columns, child)) return false;
    return append_struct(columns, column);
}

static bool run_default(Machine *machine, const int32_t *words) {
    const Program *program = machine->program;
    const uint8_t *begin = machine->begin;
    Input constant = {program->constants + program->ends[words[2]], program->constants + program->ends[words[2] + 1]};
    machine->begin = constant.at;
    bool is_done = run(machine, &constant, words[1]);
    machine->begin = begin;
    return is_done;
}

static bool run_union(Machine *machine, Input *input, const int32_t *words) {
    int64_t branch, at = place(machine, input);
    if (!read_long(machine, input, &branch)) return false;
    if (UNLIKELY(branch < 0 || branch >= words[1])) return broken(machine, BAD_BRANCH, at);
    return run(machine, input, words[2 + branch]);
}

static bool run_raw(Machine *machine, Input *input, const int32_t *words) {
    const uint8_t *start = input->at;
    if (!run(machine, input, words[2])) return false;
    return words[1] < 0 || append_bytes(&machine->columns, words[1], start, (size_t)(input->at - start));
}

static bool run_record(Machine *machine, Input *input, const int32_t *words) {
    for (int32_t i = 0; i < words[2]; i++)
        if (UNLIKELY(!run(machine, input, words[3 + i]))) return false;
    return words[1] < 0 || append_struct(&machine->columns, words[1]);
}

static bool run_nested(Machine *machine, Input *input, const int32_t *words) {
    bool is_done = false;
    if (UNLIKELY(++machine->depth > MAX_DEPTH)) return broken(machine, TOO_DEEP, 0);
    switch (words[0]) {
    case OP_ARRAY: is_done = run_blocks(machine, input, words, false); break;
    case OP_MAP: is_done = run_blocks(machine, input, words, true); break;
    case OP_UNION: is_done = run_union(machine, input, words); break;
    case OP_MEMBER: is_done = run_member(machine, input, words); break;
    case OP_RECORD: is_done = run_record(machine, input, words); break;
    case OP_DEFAULT: is_done = run_default(machine, words); break;
    case OP_RAW: is_done = run_raw(machine, input, words); break;
    default: is_done = run_protobuf(machine, input, (int32_t)(words - machine->program->words));
    }
    machine->depth--;
    return is_done;
}

bool run(Machine *machine, Input *input, int32_t op) {
    const int32_t *words = machine->program->words + op;
    int32_t column = words[1];
    const uint8_t *data;
    if (UNLIKELY(--machine->steps < 0)) return broken(machine, TOO_MUCH, 0);
    switch (words[0]) {
    case OP_FAIL: return broken(machine, FAILED, column);
    case OP_NULL: return column < 0 || append_null(&machine->columns, column);
    case OP_BOOLEAN:
        if (!read_bytes(machine, input, 1, &data)) return false;
        if (*data > 1) return broken(machine, BAD_NUMBER, place(machine, input) - 1);
        return column < 0 || append_bool(&machine->columns, column, *data);
    case OP_INT:
    case OP_INT_LONG:
    case OP_INT_FLOAT:
    case OP_INT_DOUBLE:
    case OP_TIME_MILLIS: return run_int(machine, input, words[0], column);
    case OP_LONG:
    case OP_LONG_FLOAT:
    case OP_LONG_DOUBLE:
    case OP_TIME_MICROS: return run_long(machine, input, words[0], column);
    case OP_FLOAT:
    case OP_FLOAT_DOUBLE:
    case OP_DOUBLE: return run_float(machine, input, words[0], column);
    case OP_BYTES: return run_string(machine, input, column, false);
    case OP_STRING: return run_string(machine, input, column, true);
    case OP_FIXED:
        if (!read_bytes(machine, input, (size_t)words[2], &data)) return false;
        return column < 0 || append_fixed(&machine->columns, column, data, (size_t)words[2]);
    case OP_ENUM: return run_enum(machine, input, words);
    case OP_DECIMAL: return run_decimal(machine, input, words);
    case OP_UUID: return run_uuid(machine, input, column);
    case OP_DURATION: return run_duration(machine, input, column);
    }
    return run_nested(machine, input, words);
}
