/* Protobuf messages into columns. What `plain` says holds here; no byte of the input is believed.
 *
 * Fields come in any order, and the last of one that is not repeated counts. So a message is walked over once, in
 * which repeated fields go to their columns and of others it is noted where they are; then these are read. */
#include "programs.h"

#include <stdlib.h>

enum { VARINT, EIGHT, DELIMITED, GROUP, END_GROUP, FOUR };
enum { FIELD_WORDS = 6, NUMBER = 0, IS_REPEATED, COLUMN, OP, SLOT, PRESENCE };
enum { ABSENT_IS_NULL = -1, ABSENT_IS_ZERO = -2, ABSENT_IS_EMPTY = -3 }; /* or a constant */

static int wire_type(int32_t op) {
    switch (op) {
    case OP_FIXED32: return FOUR;
    case OP_FIXED64: return EIGHT;
    case OP_MESSAGE:
    case OP_TEXT:
    case OP_BLOB:
    case OP_INSTANT:
    case OP_WRAPPER: return DELIMITED;
    }
    return VARINT;
}

typedef struct {
    const uint8_t *at, *end; /* of the value; of what is delimited, without its length */
    uint32_t number;
    int type;
} Tagged;

static bool skip_group(Machine *machine, Input *input, uint32_t number, const uint8_t **end, int depth);

/* A field's number, and its value, which is passed over. A field that ends a group has none. */
static bool read_tagged(Machine *machine, Input *input, Tagged *tagged, int depth) {
    uint64_t tag, number;
    int64_t at = place(machine, input), left;
    if (UNLIKELY(!read_varint(machine, input, &tag))) return false;
    if (UNLIKELY(tag >> 32 || tag < 8)) return broken(machine, BAD_TAG, at);
    tagged->number = (uint32_t)tag >> 3;
    tagged->type = tag & 7;
    tagged->at = input->at;
    left = input->end - input->at;
    switch (tagged->type) {
    case VARINT:
        if (UNLIKELY(!read_varint(machine, input, &number))) return false;
        break;
    case DELIMITED:
        if (UNLIKELY(!read_varint(machine, input, &number))) return false;
        tagged->at = input->at;
        if (UNLIKELY(number > (uint64_t)(input->end - input->at)))
            return broken(machine, ENDS_EARLY, place(machine, input));
        input->at += number;
        break;
    case FOUR:
    case EIGHT:
        if (UNLIKELY(left < (tagged->type == FOUR ? 4 : 8))) return broken(machine, ENDS_EARLY, place(machine, input));
        input->at += tagged->type == FOUR ? 4 : 8;
        break;
    case GROUP: return skip_group(machine, input, tagged->number, &tagged->end, depth + 1);
    case END_GROUP: break;
    default: return broken(machine, BAD_TAG, at);
    }
    tagged->end = input->at;
    return true;
}

static bool skip_group(Machine *machine, Input *input, uint32_t number, const uint8_t **end, int depth) {
    Tagged inner;
    if (depth > MAX_DEPTH) return broken(machine, TOO_DEEP, 0);
    do {
        *end = input->at;
        if (input->at == input->end) return broken(machine, ENDS_EARLY, place(machine, input));
        if (!read_tagged(machine, input, &inner, depth)) return false;
    } while (inner.type != END_GROUP);
    return inner.number == number || broken(machine, BAD_TAG, *end - machine->begin);
}

static bool read_field(Machine *machine, Input *input, Tagged *tagged) {
    int64_t at = place(machine, input);
    if (UNLIKELY(!read_tagged(machine, input, tagged, 0))) return false;
    return tagged->type != END_GROUP || broken(machine, BAD_TAG, at);
}

/* -- A value by itself */

static bool run_instant(Machine *machine, Input *input, const int32_t *words) {
    int64_t seconds = 0, nanos = 0, at = place(machine, input), number;
    int64_t per_second = words[2];
    bool is_duration = words[3];
    while (input->at < input->end) {
        Tagged tagged;
        uint64_t raw;
        if (!read_field(machine, input, &tagged)) return false;
        if (tagged.type != VARINT || tagged.number > 2) continue;
        Input value = {tagged.at, tagged.end};
        if (!read_varint(machine, &value, &raw)) return false;
        if (tagged.number == 1)
            seconds = (int64_t)raw;
        else
            nanos = (int32_t)(uint32_t)raw;
    }
    int64_t least = is_duration && seconds <= 0 ? -999999999 : 0, most = is_duration && seconds < 0 ? 0 : 999999999;
    if (nanos < least || nanos > most) return broken(machine, OUT_OF_RANGE, at);
    int64_t parts = nanos / (1000000000 / per_second); /* towards zero, as the sign of a duration's is that of its seconds */
    if (__builtin_mul_overflow(seconds, per_second, &number) || __builtin_add_overflow(number, parts, &number))
        return broken(machine, OUT_OF_RANGE, at);
    return append_fixed(&machine->columns, words[1], &number, 8);
}

static bool run_wrapper(Machine *machine, Input *input, const int32_t *words) {
    const int32_t *inner = machine->program->words + words[2];
    Input last = {NULL, NULL};
    while (input->at < input->end) {
        Tagged tagged;
        if (!read_field(machine, input, &tagged)) return false;
        if (tagged.number == 1 && tagged.type == wire_type(inner[0])) last = (Input){tagged.at, tagged.end};
    }
    return last.at ? run(machine, &last, words[2]) : append_zero(&machine->columns, words[1]);
}

/* A number that has no name is its digits or, of a closed enum, nothing. */
static bool run_numbered(Machine *machine, Input *input, const int32_t *words) {
    uint64_t raw;
    if (!read_varint(machine, input, &raw)) return false;
    int32_t number = (int32_t)(uint32_t)raw, low = 0, high = words[3];
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (words[4 + middle * 2] < number)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < words[3] && words[4 + low * 2] == number) {
        const Program *program = machine->program;
        int64_t start = program->ends[words[5 + low * 2]], end = program->ends[words[5 + low * 2] + 1];
        return append_bytes(&machine->columns, words[1], program->constants + start, (size_t)(end - start));
    }
    if (words[2]) return true;
    uint8_t digits[12], *p = digits + sizeof digits;
    int64_t rest = number < 0 ? -(int64_t)number : number;
    do *--p = (uint8_t)('0' + rest % 10);
    while (rest /= 10);
    if (number < 0) *--p = '-';
    return append_bytes(&machine->columns, words[1], p, (size_t)(digits + sizeof digits - p));
}

static bool run_number(Machine *machine, Input *input, const int32_t *words) {
    uint64_t raw = 0;
    if (words[0] == OP_FIXED32 || words[0] == OP_FIXED64) {
        size_t width = words[0] == OP_FIXED32 ? 4 : 8;
        if ((size_t)(input->end - input->at) < width) return broken(machine, ENDS_EARLY, place(machine, input));
        for (size_t i = 0; i < width; i++) raw |= (uint64_t)*input->at++ << 8 * i;
    } else if (!read_varint(machine, input, &raw)) {
        return false;
    }
    uint32_t half = (uint32_t)raw;
    switch (words[0]) {
    case OP_VARINT_BOOL: return append_bool(&machine->columns, words[1], raw != 0);
    case OP_ZIGZAG32: half = half >> 1 ^ (0 - (half & 1)); break;
    case OP_ZIGZAG64: raw = (uint64_t)unzigzag(raw); break;
    }
    bool is_wide = words[0] == OP_VARINT64 || words[0] == OP_ZIGZAG64 || words[0] == OP_FIXED64;
    return append_fixed(&machine->columns, words[1], is_wide ? (void *)&raw : (void *)&half, is_wide ? 8 : 4);
}

static bool run_text(Machine *machine, Input *input, const int32_t *words) {
    size_t size = (size_t)(input->end - input->at);
    if (words[0] == OP_TEXT && UNLIKELY(!is_utf8(input->at, size)))
        return broken(machine, BAD_TEXT, place(machine, input));
    bool is_done = append_bytes(&machine->columns, words[1], input->at, size);
    input->at = input->end;
    return is_done;
}

/* -- Messages */

static const int32_t *find_field(const int32_t *words, uint32_t number, int32_t *next) {
    const int32_t *fields = words + 4;
    int32_t count = words[3], low = 0, high = count;
    if (LIKELY(*next < count) && (uint32_t)fields[*next * FIELD_WORDS] == number) return fields + *next * FIELD_WORDS;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if ((uint32_t)fields[middle * FIELD_WORDS] < number)
            low = middle + 1;
        else
            high = middle;
    }
    *next = low;
    return low < count && (uint32_t)fields[low * FIELD_WORDS] == number ? fields + low * FIELD_WORDS : NULL;
}

/* The message that a field which came more than once adds up to: its pieces one after the other. Those before
 * another member of its oneof count no more. */
static bool merge(Machine *machine, const int32_t *words, const int32_t *field, Input message, Input *merged) {
    size_t size = (size_t)(message.end - message.at), used = 0;
    machine->steps -= (int64_t)(size / 8);
    if (machine->steps < 0) return broken(machine, TOO_MUCH, 0);
    Scratch *scratch = size < machine->columns.memory_left ? malloc(sizeof(Scratch) + size) : NULL;
    if (!scratch) {
        machine->columns.failure = NO_MEMORY;
        return false;
    }
    scratch->next = machine->scratch;
    machine->scratch = scratch;
    machine->columns.memory_left -= size; /* until the row is over */
    while (message.at < message.end) {
        Tagged tagged;
        int32_t next = words[3];
        if (!read_field(machine, &message, &tagged)) return false;
        const int32_t *found = find_field(words, tagged.number, &next);
        if (!found || found[IS_REPEATED] || found[SLOT] != field[SLOT]) continue;
        int expected = wire_type(machine->program->words[found[OP]]);
        if (tagged.type != expected && !(tagged.type == GROUP && expected == DELIMITED)) continue;
        if (found != field) {
            used = 0;
            continue;
        }
        memcpy(scratch->bytes + used, tagged.at, (size_t)(tagged.end - tagged.at));
        used += (size_t)(tagged.end - tagged.at);
    }
    *merged = (Input){scratch->bytes, scratch->bytes + used};
    return true;
}

static bool add_repeated(Machine *machine, const Tagged *tagged, const int32_t *field, int expected) {
    Input value = {tagged->at, tagged->end};
    if (tagged->type == expected || (tagged->type == GROUP && expected == DELIMITED))
        return run(machine, &value, field[OP]);
    if (tagged->type != DELIMITED || expected == DELIMITED) return true; /* as if it were not known */
    while (value.at < value.end)
        if (!run(machine, &value, field[OP])) return false;
    return true;
}

static bool read_absent(Machine *machine, const int32_t *field) {
    const Program *program = machine->program;
    Input nothing = {(const uint8_t *)"", (const uint8_t *)""};
    int32_t presence = field[PRESENCE];
    switch (presence) {
    case ABSENT_IS_NULL: return append_null(&machine->columns, field[COLUMN]);
    case ABSENT_IS_ZERO: return append_zero(&machine->columns, field[COLUMN]);
    case ABSENT_IS_EMPTY: return run(machine, &nothing, field[OP]);
    }
    int64_t start = program->ends[presence], end = program->ends[presence + 1];
    return append_bytes(&machine->columns, field[COLUMN], program->constants + start, (size_t)(end - start));
}

static bool read_slot(Machine *machine, const int32_t *words, const int32_t *field, int32_t index, Input message) {
    const Slot *slot = &machine->slots[words[2] + field[SLOT]];
    if (slot->field != index) return read_absent(machine, field);
    Input value = {slot->at, slot->end};
    const uint8_t *begin = machine->begin;
    int32_t op = machine->program->words[field[OP]];
    if (slot->is_repeated && (op == OP_MESSAGE || op == OP_INSTANT || op == OP_WRAPPER)) {
        if (!merge(machine, words, field, message, &value)) return false;
        machine->begin = value.at;
    }
    int64_t length = machine->columns.all[field[COLUMN]].length;
    if (!run(machine, &value, field[OP])) return false;
    machine->begin = begin;
    return machine->columns.all[field[COLUMN]].length > length || read_absent(machine, field);
}

static bool run_message(Machine *machine, Input *input, const int32_t *words) {
    const int32_t *fields = words + 4;
    Input message = *input;
    int32_t count = words[3], next = 0;
    for (int32_t i = 0; i < count; i++) machine->slots[words[2] + fields[i * FIELD_WORDS + SLOT]].field = -1;
    while (input->at < input->end) {
        Tagged tagged;
        if (UNLIKELY(!read_field(machine, input, &tagged))) return false;
        const int32_t *field = find_field(words, tagged.number, &next);
        if (!field) continue;
        int32_t index = (int32_t)(field - fields) / FIELD_WORDS;
        int expected = wire_type(machine->program->words[field[OP]]);
        if (field[IS_REPEATED]) {
            if (!add_repeated(machine, &tagged, field, expected)) return false;
            next = index;
        } else if (tagged.type == expected || (tagged.type == GROUP && expected == DELIMITED)) {
            Slot *slot = &machine->slots[words[2] + field[SLOT]];
            *slot = (Slot){tagged.at, tagged.end, index, slot->field == index};
            next = index + 1;
        }
    }
    for (int32_t i = 0; i < count; i++, fields += FIELD_WORDS)
        if (!(fields[IS_REPEATED] ? append_list(&machine->columns, fields[COLUMN])
                                  : read_slot(machine, words, fields, i, message)))
            return false;
    return append_struct(&machine->columns, words[1]);
}

bool run_protobuf(Machine *machine, Input *input, int32_t op) {
    const int32_t *words = machine->program->words + op;
    switch (words[0]) {
    case OP_MESSAGE: return run_message(machine, input, words);
    case OP_NUMBERED: return run_numbered(machine, input, words);
    case OP_TEXT:
    case OP_BLOB: return run_text(machine, input, words);
    case OP_INSTANT: return run_instant(machine, input, words);
    case OP_WRAPPER: return run_wrapper(machine, input, words);
    }
    return run_number(machine, input, words);
}
