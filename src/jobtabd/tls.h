/* tls.h - the TLS contexts of the listeners. */
#ifndef TLS_H
#define TLS_H

#include <openssl/ssl.h>
#include <stddef.h>

struct conf;
struct conf_listen;

/* The context of one listener, with its certificate and key; NULL with a text in why. The check of
 * a configuration makes one to see whether it can be had. */
SSL_CTX *tls_context(const struct conf_listen *listen, char *why, size_t size);

/* Certificates and keys of all listeners that have them: an array with one context for each
 * listener, NULL for those without TLS. Keys may be readable by root alone: call it before
 * privileges are dropped. HTTP/2 is offered only where a listener asks for it. NULL with a text in
 * why when one cannot be had. Lives as long as the process. */
SSL_CTX **tls_contexts(const struct conf *conf, char *why, size_t size);

#endif
