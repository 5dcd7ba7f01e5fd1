/* client.c - one connection to a daemon, by libcurl. */
#include "config.h"

#include "client.h"
#include "need.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

enum {
    CONNECT_TIMEOUT = 5000, /* ms */
    STALL_TIMEOUT = 60,     /* s without a byte */
};
static const size_t answer_max = 256 * 1024 * 1024;

/* An option that there was no memory for is not set: another method would be asked for, or another
 * host. */
#define SET(curl, option, value)                                                                  \
    do {                                                                                          \
        if (curl_easy_setopt(curl, option, value) == CURLE_OUT_OF_MEMORY)                         \
            need(NULL);                                                                           \
    } while (0)

static size_t take_body(char *bytes, size_t one, size_t n, void *context)
{
    struct client_answer *answer = context;
    size_t size = one * n;

    if (size > answer_max - answer->size)
        return 0;
    answer->body = need(realloc(answer->body, answer->size + size + 1));
    memcpy(answer->body + answer->size, bytes, size);
    answer->size += size;
    answer->body[answer->size] = '\0';
    return size;
}

static size_t take_header(char *line, size_t one, size_t n, void *context)
{
    struct client_answer *answer = context;
    size_t size = one * n;
    char text[128];

    snprintf(text, sizeof text, "%.*s", (int)(size < sizeof text ? size : sizeof text - 1), line);
    if (strncasecmp(text, "Content-Range:", 14) == 0)
        sscanf(text + 14, " bytes %" SCNu64 "-", &answer->offset);
    return size;
}

static struct curl_slist *add_header(struct curl_slist *headers, const char *header)
{
    return header != NULL ? need(curl_slist_append(headers, header)) : headers;
}

bool client_ask(struct client *client, const char *method, const char *path, const char *body,
                const char *header)
{
    CURL *curl = client->curl;
    struct curl_slist *headers = NULL;
    char *url = NULL;
    CURLcode code;

    free(client->answer.body);
    client->answer = (struct client_answer){.body = need(calloc(1, 1))};
    client->error[0] = '\0';
    if (asprintf(&url, "%s%s", client->base, path) < 0)
        url = need(NULL);
    headers = add_header(headers, "Accept: application/json, */*");
    headers = add_header(headers, "Expect:"); /* no pause before a long body */
    headers = add_header(headers, body != NULL ? "Content-Type: application/json" : NULL);
    headers = add_header(headers, header);

    SET(curl, CURLOPT_URL, url);
    SET(curl, CURLOPT_HTTPGET, 1L);
    if (strcmp(method, "POST") == 0) {
        SET(curl, CURLOPT_POST, 1L);
        SET(curl, CURLOPT_POSTFIELDS, body != NULL ? body : "");
        SET(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(body != NULL ? strlen(body) : 0));
    }
    SET(curl, CURLOPT_CUSTOMREQUEST, method);
    SET(curl, CURLOPT_HTTPHEADER, headers);
    errno = 0;
    code = curl_easy_perform(curl);
    /* It has other words for some of them: a host that it cannot resolve. */
    if (code == CURLE_OUT_OF_MEMORY || (code != CURLE_OK && errno == ENOMEM))
        need(NULL);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &client->answer.status);
    if (code != CURLE_OK && client->error[0] == '\0')
        snprintf(client->error, sizeof client->error, "%s", curl_easy_strerror(code));
    curl_slist_free_all(headers);
    free(url);
    return code == CURLE_OK;
}

/* This machine is reached without a proxy, whatever the environment has for others. */
static void set_no_proxy(CURL *curl)
{
    const char *more = getenv("no_proxy") != NULL ? getenv("no_proxy") : getenv("NO_PROXY");
    char *hosts = NULL;

    if (asprintf(&hosts, "localhost,127.0.0.1,::1%s%s", more != NULL ? "," : "",
                 more != NULL ? more : "") < 0)
        hosts = need(NULL);
    SET(curl, CURLOPT_NOPROXY, hosts);
    free(hosts);
}

bool client_open(struct client *client, const char *url)
{
    const char *socket = strncmp(url, "unix:/", 6) == 0 ? url + 5 : NULL;
    CURL *curl;

    if (socket == NULL && strncasecmp(url, "http://", 7) != 0 &&
        strncasecmp(url, "https://", 8) != 0)
        return false;
    *client = (struct client){.url = url, .curl = curl = need(curl_easy_init())};
    client->base = need(strdup(socket != NULL ? "http://localhost" : url));
    for (size_t n = strlen(client->base); client->base[n - 1] == '/'; n--)
        client->base[n - 1] = '\0';
    SET(curl, CURLOPT_UNIX_SOCKET_PATH, socket);
    if (getenv("CURL_CA_BUNDLE") != NULL)
        SET(curl, CURLOPT_CAINFO, getenv("CURL_CA_BUNDLE"));
    SET(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(curl, CURLOPT_USERAGENT, PACKAGE_NAME "/" PACKAGE_VERSION);
    SET(curl, CURLOPT_NOSIGNAL, 1L);
    SET(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT);
    SET(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    SET(curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_TIMEOUT);
    SET(curl, CURLOPT_ERRORBUFFER, client->error);
    SET(curl, CURLOPT_WRITEFUNCTION, take_body);
    SET(curl, CURLOPT_WRITEDATA, &client->answer);
    SET(curl, CURLOPT_HEADERFUNCTION, take_header);
    SET(curl, CURLOPT_HEADERDATA, &client->answer);
    set_no_proxy(curl);
    return true;
}

void client_close(struct client *client)
{
    curl_easy_cleanup(client->curl);
    free(client->answer.body);
    free(client->base);
}
