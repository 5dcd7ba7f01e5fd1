/* tls.c - the TLS contexts of the listeners. */
#include "tls.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>

#include "conf.h"

/* In the wire's form: each name behind its length. */
static const unsigned char http1_only[] = "\x08http/1.1";
static const unsigned char http2_too[] = "\x02h2\x08http/1.1";

/* ALPN: ours in our order; a client that offers none of them goes on without, as HTTP/1.1. */
static int select_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_size,
                           const unsigned char *in, unsigned in_size, void *context)
{
    const struct conf_listen *listen = context;
    const unsigned char *ours = listen->http2 ? http2_too : http1_only;
    unsigned size = listen->http2 ? sizeof(http2_too) - 1 : sizeof(http1_only) - 1;

    (void)ssl;
    return SSL_select_next_proto((unsigned char **)out, out_size, ours, size, in, in_size) ==
                   OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_NOACK;
}

static void explain(const char *path, char *why, size_t size)
{
    char reason[256];

    ERR_error_string_n(ERR_get_error(), reason, sizeof(reason));
    ERR_clear_error();
    snprintf(why, size, "%s: %s", path, reason);
}

SSL_CTX *tls_context(const struct conf_listen *listen, char *why, size_t size)
{
    const char *path = "TLS";
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    if (context == NULL)
        goto fail;
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    path = listen->tls_certificate;
    if (SSL_CTX_use_certificate_chain_file(context, path) != 1)
        goto fail;
    path = listen->tls_key;
    if (SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1)
        goto fail;
    SSL_CTX_set_alpn_select_cb(context, select_protocol, (void *)listen);
    return context;
fail:
    explain(path, why, size);
    SSL_CTX_free(context);
    return NULL;
}

SSL_CTX **tls_contexts(const struct conf *conf, char *why, size_t size)
{
    SSL_CTX **contexts = calloc(conf->n_listens + 1, sizeof(*contexts));

    if (contexts == NULL) {
        snprintf(why, size, "out of memory");
        return NULL;
    }
    for (size_t i = 0; i < conf->n_listens; i++) {
        if (conf->listens[i].tls_certificate == NULL)
            continue;
        contexts[i] = tls_context(&conf->listens[i], why, size);
        if (contexts[i] == NULL) {
            while (i-- > 0)
                SSL_CTX_free(contexts[i]);
            free(contexts);
            return NULL;
        }
    }
    return contexts;
}
