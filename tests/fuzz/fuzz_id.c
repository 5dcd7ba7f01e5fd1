/* fuzz_id.c - the text of job ids and fencing tokens, as a client sends it. */
#include "fuzz.h"

#include "jobtab.h"

static void id(const char *text)
{
    struct jobtab_id id, again;
    char written[JOBTAB_ID_TEXT];

    if (jobtab_id_parse(text, &id) != JOBTAB_OK)
        return;
    jobtab_id_format(&id, written);
    HOLDS(strlen(written) == JOBTAB_ID_TEXT - 1);
    HOLDS(strlen(text) == JOBTAB_ID_TEXT - 1);
    HOLDS(jobtab_id_parse(written, &again) == JOBTAB_OK);
    HOLDS(memcmp(&id, &again, sizeof id) == 0);
}

static void token(const char *text)
{
    struct jobtab_token token, again;
    char written[JOBTAB_TOKEN_TEXT];

    if (jobtab_token_parse(text, &token) != JOBTAB_OK)
        return;
    jobtab_token_format(&token, written);
    HOLDS(jobtab_token_parse(written, &again) == JOBTAB_OK);
    HOLDS(token.attempt == again.attempt && token.secret == again.secret);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);

    id(text);
    token(text);
    free(text);
    return 0;
}
