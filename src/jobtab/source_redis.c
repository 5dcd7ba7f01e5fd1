/* source_redis.c - jobs in a Redis: one key each, its value a JSON object or a hash.
 *
 * Keys come by SCAN, a page at a time, which blocks the server for no longer than that; what types
 * and values they have is asked for in two round trips a page. SCAN may name a key twice, and keys
 * may go meanwhile: the first is passed over, so are the others.
 */
#include "config.h"

#include "source.h"

#if HAVE_HIREDIS
#include "jobtab.h"
#include "need.h"
#include "seen.h"

#include <curl/curl.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

enum { PAGE = 500, CONNECT_S = 5, ANSWER_S = 30 };

struct item {
    const redisReply *key; /* of the page */
    redisReply *value;     /* NULL when the key is gone or of no type that is read */
    char type[16];
    int64_t ttl; /* ms, below 0: none */
};

struct redis {
    struct source source;
    redisContext *context;
    const char *pattern;
    size_t prefix; /* of the pattern: what is before its first special character */
    char cursor[24];
    bool begun;
    redisReply *page;
    struct item *items;
    size_t n, at;
    struct seen seen;
};

/* ------------------------------------------------------------------- connecting */

static bool said(char *why, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool said(char *why, size_t size, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(why, size, format, arguments);
    va_end(arguments);
    return false;
}

/* A command whose answer is only good or bad. */
static bool command(struct redis *self, char *why, size_t size, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    redisReply *reply = redisvCommand(self->context, format, arguments);
    va_end(arguments);
    bool good = reply != NULL && reply->type != REDIS_REPLY_ERROR;

    if (!good)
        said(why, size, "redis: %s", reply != NULL ? reply->str : self->context->errstr);
    else if (reply->type == REDIS_REPLY_INTEGER)
        self->source.all = (uint64_t)reply->integer;
    freeReplyObject(reply);
    return good;
}

/* What a Redis URL says. Texts are curl's: free with curl_free. */
struct address {
    char *host, *port, *path, *user, *password;
};

static void address_free(struct address *address)
{
    curl_free(address->host);
    curl_free(address->port);
    curl_free(address->path);
    curl_free(address->user);
    curl_free(address->password);
}

static bool address_parse(const char *url, struct address *address)
{
    CURLU *parts = need(curl_url());
    bool sound = curl_url_set(parts, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK;

    *address = (struct address){.host = NULL};
    if (sound) {
        curl_url_get(parts, CURLUPART_HOST, &address->host, 0);
        curl_url_get(parts, CURLUPART_PORT, &address->port, 0);
        curl_url_get(parts, CURLUPART_PATH, &address->path, CURLU_URLDECODE);
        curl_url_get(parts, CURLUPART_USER, &address->user, CURLU_URLDECODE);
        curl_url_get(parts, CURLUPART_PASSWORD, &address->password, CURLU_URLDECODE);
    }
    curl_url_cleanup(parts);
    return sound;
}

/* "[::1]" without its brackets. */
static const char *bare_host(char *host)
{
    size_t length = strlen(host);

    if (*host != '[' || host[length - 1] != ']')
        return host;
    host[length - 1] = '\0';
    return host + 1;
}

static bool enter(struct redis *self, const char *user, const char *password,
                  const char *database, char *why, size_t size)
{
    bool good = true;

    if (self->context == NULL || self->context->err)
        return said(why, size, "redis: %s",
                    self->context != NULL ? self->context->errstr : "no memory");
    redisSetTimeout(self->context, (struct timeval){.tv_sec = ANSWER_S});
    if (password == NULL)
        password = getenv("REDISCLI_AUTH"); /* redis-cli's: not to be seen in a list of processes */
    if (password != NULL && user != NULL && *user != '\0')
        good = command(self, why, size, "AUTH %s %s", user, password);
    else if (password != NULL)
        good = command(self, why, size, "AUTH %s", password);
    return good && (*database == '\0' || command(self, why, size, "SELECT %s", database)) &&
           command(self, why, size, "DBSIZE");
}

/* unix:/path, unix:///path?db=2 */
static bool connect_unix(struct redis *self, const char *url, char *why, size_t size)
{
    char *path = need(strdup(url + strlen("unix:"))), *query = strchr(path, '?');
    const char *database = "";

    if (query != NULL) {
        *query++ = '\0';
        database = strncmp(query, "db=", 3) == 0 ? query + 3 : "";
    }
    self->context = redisConnectUnixWithTimeout(path + (strncmp(path, "//", 2) == 0 ? 2 : 0),
                                                (struct timeval){.tv_sec = CONNECT_S});
    bool good = enter(self, NULL, NULL, database, why, size);
    free(path);
    return good;
}

/* redis://[user:password@]host[:port][/database] */
static bool connect_tcp(struct redis *self, const char *url, char *why, size_t size)
{
    struct address address;
    bool good = address_parse(url, &address) && address.host != NULL;

    if (!good) {
        said(why, size, "'%s' is no URL of a Redis", url);
    } else {
        int port = address.port != NULL ? atoi(address.port) : 6379;
        self->context = redisConnectWithTimeout(bare_host(address.host), port,
                                                (struct timeval){.tv_sec = CONNECT_S});
        good = enter(self, address.user, address.password,
                     address.path != NULL ? address.path + 1 : "", why, size);
    }
    address_free(&address);
    return good;
}

/* ---------------------------------------------------------------------- a page */

static void free_page(struct redis *self)
{
    for (size_t i = 0; i < self->n; i++)
        freeReplyObject(self->items[i].value);
    free(self->items);
    freeReplyObject(self->page);
    self->items = NULL;
    self->page = NULL;
    self->n = self->at = 0;
}

static bool lost(struct redis *self, const redisReply *reply)
{
    return said(self->source.why, sizeof self->source.why, "redis: %s",
                reply != NULL && reply->type == REDIS_REPLY_ERROR ? reply->str
                : self->context->err                             ? self->context->errstr
                                                                 : "an answer of another sort");
}

static bool answer(struct redis *self, redisReply **reply)
{
    void *got = NULL;

    if (redisGetReply(self->context, &got) != REDIS_OK)
        return lost(self, NULL);
    *reply = got;
    return true;
}

static bool scan(struct redis *self)
{
    redisReply *page = redisCommand(self->context, "SCAN %s MATCH %s COUNT %d", self->cursor,
                                    self->pattern, PAGE);

    if (page == NULL || page->type != REDIS_REPLY_ARRAY || page->elements != 2 ||
        page->element[0]->type != REDIS_REPLY_STRING ||
        page->element[1]->type != REDIS_REPLY_ARRAY) {
        lost(self, page);
        freeReplyObject(page);
        return false;
    }
    snprintf(self->cursor, sizeof self->cursor, "%s", page->element[0]->str);
    self->begun = true;
    self->page = page;
    self->n = page->element[1]->elements;
    self->items = need(calloc(self->n + 1, sizeof *self->items));
    for (size_t i = 0; i < self->n; i++)
        self->items[i].key = page->element[1]->element[i];
    return true;
}

static bool ask_types(struct redis *self)
{
    redisReply *reply;

    for (size_t i = 0; i < self->n; i++) {
        const redisReply *key = self->items[i].key;
        redisAppendCommand(self->context, "TYPE %b", key->str, key->len);
        redisAppendCommand(self->context, "PTTL %b", key->str, key->len);
    }
    for (size_t i = 0; i < self->n; i++) {
        if (!answer(self, &reply))
            return false;
        snprintf(self->items[i].type, sizeof self->items[i].type, "%s",
                 reply->type == REDIS_REPLY_STATUS ? reply->str : "none");
        freeReplyObject(reply);
        if (!answer(self, &reply))
            return false;
        self->items[i].ttl = reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;
        freeReplyObject(reply);
    }
    return true;
}

static const char *reader_of(const struct item *item)
{
    return strcmp(item->type, "string") == 0 ? "GET %b"
           : strcmp(item->type, "hash") == 0 ? "HGETALL %b"
                                             : NULL;
}

static bool ask_values(struct redis *self)
{
    for (size_t i = 0; i < self->n; i++)
        if (reader_of(&self->items[i]) != NULL)
            redisAppendCommand(self->context, reader_of(&self->items[i]), self->items[i].key->str,
                               self->items[i].key->len);
    for (size_t i = 0; i < self->n; i++)
        if (reader_of(&self->items[i]) != NULL && !answer(self, &self->items[i].value))
            return false;
    return true;
}

/* ------------------------------------------------------------------------ a row */

static enum source_got bad(struct redis *self, const char *before, const char *what,
                           const char *behind)
{
    snprintf(self->source.why, sizeof self->source.why, "%s%s%s", before, what, behind);
    return SOURCE_BAD;
}

static enum source_got take(struct redis *self, const struct item *item, struct row *row)
{
    const redisReply *value = item->value;
    char *key = row_own(row, item->key->str, item->key->len);

    snprintf(row->place, sizeof row->place, "%s", key);
    if (strlen(key) != item->key->len)
        return bad(self, "its key has a NUL", "", "");
    row->id = key[self->prefix] != '\0' ? key + self->prefix : key;
    row->expires_at = item->ttl > 0 ? jobtab_now() + item->ttl : 0;
    if (value == NULL)
        return bad(self, "its value is a ", item->type, ", neither a string nor a hash");
    if (value->type == REDIS_REPLY_STRING)
        return row_add_json(row, value->str, value->len, self->source.why, sizeof self->source.why)
                   ? SOURCE_ROW
                   : SOURCE_BAD;
    if (value->type != REDIS_REPLY_ARRAY)
        return bad(self, "it cannot be read", value->type == REDIS_REPLY_ERROR ? ": " : "",
                   value->type == REDIS_REPLY_ERROR ? value->str : "");
    for (size_t i = 0; i + 1 < value->elements; i += 2) {
        const redisReply *name = value->element[i], *field = value->element[i + 1];
        row_add(row, row_own(row, name->str, name->len), VALUE_TEXT, field->str, field->len);
    }
    return SOURCE_ROW;
}

/* It went since it was scanned. */
static bool gone(const struct item *item)
{
    return strcmp(item->type, "none") == 0 ||
           (item->value != NULL &&
            (item->value->type == REDIS_REPLY_NIL ||
             (item->value->type == REDIS_REPLY_ARRAY && item->value->elements == 0)));
}

static enum source_got redis_next(struct source *source, struct row *row)
{
    struct redis *self = (struct redis *)source;

    for (;;) {
        if (self->at == self->n) {
            free_page(self);
            if (self->begun && strcmp(self->cursor, "0") == 0)
                return SOURCE_END;
            if (!scan(self) || !ask_types(self) || !ask_values(self))
                return SOURCE_FAILED;
            continue;
        }
        const struct item *item = &self->items[self->at++];
        source->done++;
        if (gone(item) || !seen_add(&self->seen, item->key->str))
            continue;
        return take(self, item, row);
    }
}

static void redis_close(struct source *source)
{
    struct redis *self = (struct redis *)source;

    free_page(self);
    seen_free(&self->seen);
    if (self->context != NULL)
        redisFree(self->context);
    free(self);
}

struct source *source_redis(const char *url, const char *pattern, char *why, size_t size)
{
    static const struct source_verbs verbs = {.next = redis_next, .close = redis_close};
    struct redis *self = need(calloc(1, sizeof *self));
    bool good;

    self->source.verbs = &verbs;
    self->pattern = pattern;
    self->prefix = strcspn(pattern, "*?[\\");
    strcpy(self->cursor, "0");
    if (strncmp(url, "unix:", 5) == 0)
        good = connect_unix(self, url, why, size);
    else if (strncmp(url, "redis://", 8) == 0)
        good = connect_tcp(self, url, why, size);
    else
        good = said(why, size, "'%s' is no URL of a Redis: redis://host:port/db or unix:/path", url);
    if (good)
        return &self->source;
    redis_close(&self->source);
    return NULL;
}

#else

struct source *source_redis(const char *url, const char *pattern, char *why, size_t size)
{
    (void)url;
    (void)pattern;
    snprintf(why, size, "this jobtab was built without Redis: install libhiredis-dev, configure and "
                        "make again");
    return NULL;
}

#endif
