/* id.c - job ids and fencing tokens, and their text.
 *
 * An id is 48 bits of milliseconds, version 7, 12 random bits, variant, 62 random bits. Within one
 * millisecond, or while the clock stands behind the last id, the 74 free bits are a counter:
 * the last id's plus a random step, so that ids grow strictly and cannot be guessed by adding one.
 */
#include "id.h"

#include "clock.h"
#include "error.h"

#include <stdio.h>
#include <string.h>

static uint64_t load_be(const uint8_t *bytes, int n)
{
    uint64_t value = 0;

    for (int i = 0; i < n; i++)
        value = value << 8 | bytes[i];
    return value;
}

static void store_be(uint8_t *bytes, int n, uint64_t value)
{
    for (int i = n - 1; i >= 0; i--, value >>= 8)
        bytes[i] = (uint8_t)value;
}

struct jobtab_id id_next(const struct jobtab_id *last, int64_t now)
{
    const uint64_t low_mask = (UINT64_C(1) << 62) - 1;
    uint64_t time = load_be(last->bytes, 6);
    uint64_t high = load_be(last->bytes + 6, 2) & 0xfff;
    uint64_t low = load_be(last->bytes + 8, 8) & low_mask;
    uint64_t bits = random_u64();
    struct jobtab_id id;

    if (now > 0 && (uint64_t)now > time) {
        time = (uint64_t)now;
        high = bits & 0x7ff; /* the top bit stays clear: room to count */
        low = random_u64() & low_mask;
    } else {
        low += 1 + (bits & 0xffffffff);
        if (low > low_mask) {
            low &= low_mask;
            if (++high > 0xfff) {
                high = 0;
                time++;
            }
        }
    }
    store_be(id.bytes, 6, time);
    store_be(id.bytes + 6, 2, 0x7000 | high);
    store_be(id.bytes + 8, 8, UINT64_C(0x8000000000000000) | low);
    return id;
}

/* The value of a hexadecimal digit, DIGIT set; 0 for what is none. */
#define DIGIT 0x10
static const uint8_t digits[256] = {
    ['0'] = 0x10, ['1'] = 0x11, ['2'] = 0x12, ['3'] = 0x13, ['4'] = 0x14, ['5'] = 0x15,
    ['6'] = 0x16, ['7'] = 0x17, ['8'] = 0x18, ['9'] = 0x19, ['a'] = 0x1a, ['b'] = 0x1b,
    ['c'] = 0x1c, ['d'] = 0x1d, ['e'] = 0x1e, ['f'] = 0x1f, ['A'] = 0x1a, ['B'] = 0x1b,
    ['C'] = 0x1c, ['D'] = 0x1d, ['E'] = 0x1e, ['F'] = 0x1f,
};

/* Where the two digits of each byte stand in the text; hyphens stand between. */
static const uint8_t places[16] = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};

void jobtab_id_format(const struct jobtab_id *id, char text[JOBTAB_ID_TEXT])
{
    static const char hex[] = "0123456789abcdef";

#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
        text[places[i]] = hex[id->bytes[i] >> 4];
        text[places[i] + 1] = hex[id->bytes[i] & 15];
    }
    text[8] = text[13] = text[18] = text[23] = '-';
    text[JOBTAB_ID_TEXT - 1] = '\0';
}

int jobtab_id_parse(const char *text, struct jobtab_id *id)
{
    struct jobtab_id parsed;
    unsigned all = DIGIT;

    if (strnlen(text, JOBTAB_ID_TEXT) != JOBTAB_ID_TEXT - 1 || text[8] != '-' ||
        text[13] != '-' || text[18] != '-' || text[23] != '-')
        goto bad;
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
        unsigned high = digits[(uint8_t)text[places[i]]];
        unsigned low = digits[(uint8_t)text[places[i] + 1]];
        all &= high & low;
        parsed.bytes[i] = (uint8_t)(high << 4 | (low & 15));
    }
    if (!all)
        goto bad;
    *id = parsed;
    return JOBTAB_OK;
bad:
    return fail(JOBTAB_INVALID, "job id: \"%.40s\" is no UUID", text);
}

void jobtab_token_format(const struct jobtab_token *token, char text[JOBTAB_TOKEN_TEXT])
{
    snprintf(text, JOBTAB_TOKEN_TEXT, "%u-%016llx", token->attempt,
             (unsigned long long)token->secret);
}

int jobtab_token_parse(const char *text, struct jobtab_token *token)
{
    uint64_t attempt = 0, secret = 0;
    const char *p = text;

    for (; *p >= '0' && *p <= '9' && attempt <= UINT32_MAX; p++)
        attempt = attempt * 10 + (uint64_t)(*p - '0');
    if (p == text || attempt > UINT32_MAX || *p++ != '-')
        goto bad;
    for (int i = 0; i < 16; i++, p++) {
        unsigned digit = digits[(uint8_t)*p];
        if (!digit)
            goto bad;
        secret = secret << 4 | (digit & 15);
    }
    if (*p)
        goto bad;
    token->attempt = (uint32_t)attempt;
    token->secret = secret;
    return JOBTAB_OK;
bad:
    return fail(JOBTAB_INVALID, "token: not of the form ATTEMPT-16 HEX DIGITS");
}
