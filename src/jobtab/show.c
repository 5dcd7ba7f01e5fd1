/* show.c - text for people. */
#include "config.h"

#include "need.h"
#include "show.h"

#include <inttypes.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

enum {
    GAP = 2,      /* between columns */
    LAST_MIN = 8, /* columns of a table's last one, however narrow the terminal is */
    BAR_MIN = 8,
    BAR_MAX = 30,
};

static const char *const colours[] = {
    [SHOW_PLAIN] = "",          [SHOW_DIM] = "\033[2m",  [SHOW_GREEN] = "\033[32m",
    [SHOW_YELLOW] = "\033[33m", [SHOW_RED] = "\033[31m", [SHOW_CYAN] = "\033[36m",
};

void show_init(struct show *show, FILE *out)
{
    const char *term = getenv("TERM");
    const char *no_colour = getenv("NO_COLOR");

    *show = (struct show){.out = out};
    show->terminal = isatty(fileno(out)) && term != NULL && strcmp(term, "dumb") != 0;
    show->colour = show->terminal && (no_colour == NULL || *no_colour == '\0');
    show->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    show_resize(show);
}

void show_resize(struct show *show)
{
    struct winsize size;

    if (!show->terminal)
        return;
    if (ioctl(fileno(show->out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        show->columns = size.ws_col;
    else
        show->columns = 80;
}

/* ------------------------------------------------------------ untrusted text */

/* The UTF-8 character at `text`: its length, or 0 when there is none. Its own decoder because
 * jobs' text is UTF-8 whatever the locale is. */
static size_t decode(const unsigned char *text, size_t size, uint32_t *character)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = text[0] < 0x80   ? 1
                    : text[0] < 0xc2 ? 0
                    : text[0] < 0xe0 ? 2
                    : text[0] < 0xf0 ? 3
                    : text[0] < 0xf5 ? 4
                                     : 0;
    uint32_t c = text[0];

    if (length == 0 || length > size)
        return 0;
    if (length > 1)
        c &= 0xffu >> (length + 1);
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (text[i] & 0x3f);
    }
    if (c < least[length] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *character = c;
    return length;
}

/* Controls of both sets, and what makes a terminal show text in another order than it has. */
static bool harmless(uint32_t c)
{
    return !(c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || c == 0x200e || c == 0x200f ||
             (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff);
}

char *show_escaped(const char *bytes, size_t size, bool lines)
{
    const unsigned char *from = (const unsigned char *)bytes;
    const unsigned char *end = from + size;
    char *escaped = need(malloc(size * 6 + 1)); /* the longest escape: "\u202e", of 2 or 3 bytes */
    char *to = escaped;

    while (from < end) {
        uint32_t c = 0;
        size_t length = decode(from, (size_t)(end - from), &c);

        if (length == 0) {
            to += sprintf(to, "\\x%02x", *from);
            length = 1;
        } else if (harmless(c) || (lines && (c == '\n' || c == '\t'))) {
            memcpy(to, from, length);
            to += length;
        } else if (c == '\n' || c == '\r' || c == '\t') {
            *to++ = '\\';
            *to++ = c == '\n' ? 'n' : c == '\r' ? 'r' : 't';
        } else {
            to += sprintf(to, c < 0x100 ? "\\x%02x" : "\\u%04x", (unsigned)c);
        }
        from += length;
    }
    *to = '\0';
    return escaped;
}

size_t show_whole(const char *bytes, size_t size)
{
    for (size_t back = 1; back <= 3 && back <= size; back++) {
        unsigned char c = (unsigned char)bytes[size - back];

        if ((c & 0xc0) == 0x80)
            continue;
        if (c < 0xc2 || c > 0xf4)
            return size; /* nothing that more bytes would make a character */
        return back < (c < 0xe0 ? 2u : c < 0xf0 ? 3u : 4u) ? size - back : size;
    }
    return size;
}

/* The character at escaped text, its length and its columns. */
static size_t measure(const char *text, unsigned *columns)
{
    uint32_t c = 0;
    size_t length = decode((const unsigned char *)text, strnlen(text, 4), &c);
    int width = length == 0 ? 1 : wcwidth((wchar_t)c);

    *columns = width < 0 ? 1 : (unsigned)width;
    return length == 0 ? 1 : length;
}

unsigned show_width(const char *escaped)
{
    unsigned width = 0, columns;

    for (const char *at = escaped; *at != '\0'; width += columns)
        at += measure(at, &columns);
    return width;
}

unsigned show_clipped(const struct show *show, const char *escaped, unsigned columns)
{
    unsigned width = show_width(escaped);
    unsigned mark = show->utf8 ? 1 : 3, used = 0, next;
    const char *at = escaped;

    if (columns == 0 || width <= columns) {
        fputs(escaped, show->out);
        return width;
    }
    if (columns < mark)
        return 0;
    while (*at != '\0') {
        size_t length = measure(at, &next);
        if (used + next > columns - mark)
            break;
        at += length;
        used += next;
    }
    fwrite(escaped, 1, (size_t)(at - escaped), show->out);
    fputs(show->utf8 ? "…" : "...", show->out);
    return used + mark;
}

void show_coloured(const struct show *show, enum show_colour colour, const char *text)
{
    bool on = show->colour && colour != SHOW_PLAIN;

    fprintf(show->out, "%s%s%s", on ? colours[colour] : "", text, on ? "\033[0m" : "");
}

/* ------------------------------------------------------------------- figures */

void show_duration(int64_t ms, char text[SHOW_FIGURE])
{
    int64_t s = ms / 1000;

    if (ms < 0)
        ms = s = 0; /* clocks of two machines differ */
    if (ms < 1000)
        snprintf(text, SHOW_FIGURE, "%" PRId64 "ms", ms);
    else if (s < 10)
        snprintf(text, SHOW_FIGURE, "%" PRId64 ".%" PRId64 "s", s, ms % 1000 / 100);
    else if (s < 60)
        snprintf(text, SHOW_FIGURE, "%" PRId64 "s", s);
    else if (s < 3600)
        snprintf(text, SHOW_FIGURE, "%" PRId64 "m%02" PRId64 "s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(text, SHOW_FIGURE, "%" PRId64 "h%02" PRId64 "m", s / 3600, s % 3600 / 60);
    else
        snprintf(text, SHOW_FIGURE, "%" PRId64 "d%" PRId64 "h", s / 86400, s % 86400 / 3600);
}

void show_bytes(uint64_t bytes, char text[SHOW_FIGURE])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes / 1024;
    size_t unit = 0;

    if (bytes < 1024) {
        snprintf(text, SHOW_FIGURE, "%" PRIu64 " B", bytes);
        return;
    }
    while (value >= 1023.95) { /* what %.1f would write as 1024.0 */
        value /= 1024;
        unit++;
    }
    snprintf(text, SHOW_FIGURE, "%.1f %s", value, units[unit]);
}

void show_count(uint64_t count, char text[SHOW_FIGURE])
{
    char digits[21];
    size_t n = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, count);

    for (size_t i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0)
            *text++ = ',';
        *text++ = digits[i];
    }
    *text = '\0';
}

/* --------------------------------------------------------------------- tables */

struct cell {
    enum show_colour colour;
    unsigned width;
    char *text;
};

struct show_table {
    const struct show *show;
    const struct show_column *columns;
    size_t n_columns, n_cells, room;
    struct cell *cells; /* the titles are the first row */
    unsigned widths[];
};

struct show_table *show_table(const struct show *show, const struct show_column *columns, size_t n)
{
    struct show_table *table = need(calloc(1, sizeof *table + n * sizeof table->widths[0]));

    table->show = show;
    table->columns = columns;
    table->n_columns = n;
    for (size_t i = 0; i < n; i++)
        show_cell(table, SHOW_DIM, columns[i].title);
    return table;
}

void show_cell(struct show_table *table, enum show_colour colour, const char *text)
{
    unsigned *widest = &table->widths[table->n_cells % table->n_columns];
    struct cell cell = {.colour = colour, .text = show_escaped(text, strlen(text), false)};

    cell.width = show_width(cell.text);
    if (cell.width > *widest)
        *widest = cell.width;
    if (table->n_cells == table->room) {
        table->room = table->room * 2 + 64;
        table->cells = need(realloc(table->cells, table->room * sizeof *table->cells));
    }
    table->cells[table->n_cells++] = cell;
}

/* *used counts the columns of the line, *owed the spaces that the next text comes behind. */
static void print_cell(const struct show_table *table, const struct cell *cell, size_t column,
                       unsigned *used, unsigned *owed)
{
    const struct show *show = table->show;
    bool right = table->columns[column].right;
    bool on = show->colour && cell->colour != SHOW_PLAIN;
    unsigned room = table->widths[column];
    unsigned pad = room - cell->width;

    *owed += right ? pad : 0;
    if (cell->width > 0) {
        *used += (unsigned)fprintf(show->out, "%*s", (int)*owed, "");
        *owed = 0;
        if (column + 1 == table->n_columns && show->columns > 0)
            room = show->columns > *used + LAST_MIN ? show->columns - *used : LAST_MIN;
        if (on)
            fputs(colours[cell->colour], show->out);
        *used += show_clipped(show, cell->text, room);
        if (on)
            fputs("\033[0m", show->out);
    }
    *owed += (right ? 0 : pad) + GAP;
}

void show_table_end(struct show_table *table)
{
    unsigned used = 0, owed = 0;

    for (size_t i = 0; i < table->n_cells; i++) {
        size_t column = i % table->n_columns;

        print_cell(table, &table->cells[i], column, &used, &owed);
        if (column + 1 == table->n_columns) {
            fputc('\n', table->show->out);
            used = owed = 0;
        }
        free(table->cells[i].text);
    }
    free(table->cells);
    free(table);
}

/* ----------------------------------------------------------------------- bars */

void show_bar(struct show *show, unsigned percent, const char *aside, const char *text)
{
    unsigned bar, filled, used;
    char *escaped;

    if (!show->terminal)
        return;
    show_resize(show);
    bar = show->columns / 3 > BAR_MAX ? BAR_MAX : show->columns / 3;
    filled = bar * (percent > 100 ? 100 : percent) / 100;

    fputs("\r\033[?7l", show->out); /* no wrapping: a narrowed terminal keeps it on one line */
    if (bar >= BAR_MIN) {
        if (show->colour)
            fputs(colours[SHOW_GREEN], show->out);
        for (unsigned i = 0; i < bar; i++)
            fputs(i < filled ? (show->utf8 ? "█" : "#") : (show->utf8 ? "░" : "."), show->out);
        if (show->colour)
            fputs("\033[0m", show->out);
        fputs("  ", show->out);
    }
    used = (unsigned)fprintf(show->out, "%3u%%  %s  ", percent, aside);
    used += bar >= BAR_MIN ? bar + GAP : 0;
    escaped = show_escaped(text, strlen(text), false);
    if (show->columns > used)
        show_clipped(show, escaped, show->columns - used);
    free(escaped);
    fputs("\033[K\033[?7h", show->out);
    fflush(show->out);
}

void show_progress(struct show *show, uint64_t done, uint64_t all, const char *what)
{
    char figure[SHOW_FIGURE], of[SHOW_FIGURE], text[2 * SHOW_FIGURE + 8];

    show_count(done, figure);
    show_count(all > done ? all : done, of);
    snprintf(text, sizeof text, "%s of %s", figure, of);
    show_bar(show, done >= all ? 100 : (unsigned)(done * 100 / all), text, what);
}

void show_bar_end(const struct show *show)
{
    if (!show->terminal)
        return;
    fputs("\r\033[K", show->out);
    fflush(show->out);
}
