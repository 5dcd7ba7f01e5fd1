/* symbols.c - the symbols seen so far. */
#include "config.h"

#include "symbols.h"

#include "reader.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define N_SLOTS (1u << 19) /* under half full at SYMBOLS_MAX */

int symbols_init(struct symbols *symbols)
{
    memset(symbols, 0, sizeof *symbols);
    symbols->all = malloc(SYMBOLS_MAX * sizeof *symbols->all);
    symbols->names = malloc((size_t)SYMBOLS_MAX * (READER_SYMBOL_MAX + 1));
    symbols->slots = calloc(N_SLOTS, sizeof *symbols->slots);
    if (symbols->all == NULL || symbols->names == NULL || symbols->slots == NULL) {
        symbols_free(symbols);
        return -1;
    }
    return 0;
}

void symbols_free(struct symbols *symbols)
{
    free(symbols->all);
    free(symbols->names);
    free(symbols->slots);
    memset(symbols, 0, sizeof *symbols);
}

const char *symbols_name(const struct symbols *symbols, uint32_t number)
{
    return symbols->names + symbols->all[number].name;
}

static bool is_name(const struct symbols *symbols, uint32_t number, const char *text, size_t size)
{
    return symbols->all[number].size == size &&
           memcmp(symbols_name(symbols, number), text, size) == 0;
}

static bool usable(const char *text, size_t size)
{
    if (size == 0 || size > READER_SYMBOL_MAX)
        return false;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] < ' ')
            return false;
    json_t *utf8 = json_stringn(text, size);
    json_decref(utf8);
    return utf8 != NULL;
}

int32_t symbols_number(struct symbols *symbols, const char *text, size_t size)
{
    if (symbols->n > 0 && is_name(symbols, symbols->latest, text, size))
        return (int32_t)symbols->latest;

    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)text[i]) * 16777619u;
    uint32_t slot = hash % N_SLOTS;
    for (; symbols->slots[slot] != 0; slot = (slot + 1) % N_SLOTS)
        if (is_name(symbols, symbols->slots[slot] - 1, text, size))
            return (int32_t)(symbols->latest = symbols->slots[slot] - 1);

    if (!usable(text, size))
        return SYMBOLS_UNUSABLE;
    if (symbols->n == SYMBOLS_MAX)
        return SYMBOLS_FULL;
    uint32_t number = symbols->n++;
    symbols->all[number] = (struct symbol){
        .name = (uint32_t)symbols->names_size, .size = (uint32_t)size & INT32_MAX};
    memcpy(symbols->names + symbols->names_size, text, size);
    symbols->names[symbols->names_size + size] = '\0';
    symbols->names_size += size + 1;
    symbols->slots[slot] = number + 1;
    symbols->latest = number;
    return (int32_t)number;
}
