/* tls.h - the TLS contexts of the listeners. */
#ifndef TLS_H
#define TLS_H

#include <openssl/ssl.h>
#include <stddef.h>

struct conf_listen;

/* A context with the listener's certificate and key; NULL with a text in why. HTTP/2 is offered only
 * where the listener asks for it. Keys are readable by root alone: call it before privileges
 * are dropped. */
SSL_CTX *tls_context(const struct conf_listen *listen, char *why, size_t size);

#endif
