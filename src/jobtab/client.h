/* client.h - one connection to a daemon: a request, its answer. */
#ifndef CLIENT_H
#define CLIENT_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

struct client {
    const char *url; /* as it was given, for messages */
    char *base;      /* of every address, without a slash at its end */
    CURL *curl;
    char error[CURL_ERROR_SIZE]; /* why there was no answer */
    struct client_answer {
        long status;
        uint64_t offset; /* of the body's first byte: Content-Range */
        char *body;      /* NUL-terminated; who takes it leaves NULL */
        size_t size;
    } answer;
};

/* False when the URL is not "http://...", "https://..." or "unix:/path". It stays the caller's and
 * must last as long. */
bool client_open(struct client *client, const char *url);
void client_close(struct client *client);

/* Ask, and wait for the whole answer, of whatever status. `body` is JSON or NULL, `header` a line
 * or NULL. False when none came. */
bool client_ask(struct client *client, const char *method, const char *path, const char *body,
                const char *header);

#endif
