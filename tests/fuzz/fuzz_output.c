/* fuzz_output.c - what a child wrote on its standard output, from the runner's look at it to the
 * JSON of the job. Whatever it wrote, the answer is JSON, and as long as it was said to be; so are
 * a message and an error of any bytes.
 */
#include "fuzz.h"

#include "ending.h"
#include "jobtab.h"
#include "json_scan.h"

static void fill(char *field, size_t room, const char *bytes, size_t size)
{
    size_t n = size < room - 1 ? size : room - 1;

    memcpy(field, bytes, n);
    field[n] = '\0';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct jobtab_job job = {.kind = "noop", .state = JOBTAB_COMPLETED, .created_at = 1};
    struct json_fault fault;
    char *bytes = fuzz_bytes(data, size);
    const char *result = bytes;
    size_t result_size = size;

    fill(job.message, sizeof job.message, bytes, size);
    fill(job.error, sizeof job.error, bytes, size);
    job.result_format = ending_format(&result, &result_size);
    job.result_size = result_size;
    HOLDS(result >= bytes && result + result_size <= bytes + size);
    if (job.result_format == JOBTAB_JSON && !json_scan(result, result_size, &fault)) {
        HOLDS(strcmp(fault.expected, "fewer levels") == 0); /* jansson goes down further */
        free(bytes);
        return 0;
    }

    size_t length = jobtab_job_json(&job, NULL, result, NULL, 0);
    char *text = malloc(length + 1);
    HOLDS(text != NULL);
    HOLDS(jobtab_job_json(&job, NULL, result, text, length + 1) == length);
    HOLDS(strlen(text) == length);
    HOLDS(strchr(text, '\n') == NULL);
    HOLDS(json_scan(text, length, &fault));
    free(text);

    char cut[64]; /* a buffer that is too small is filled and ended, and not left */
    HOLDS(jobtab_job_json(&job, NULL, result, cut, sizeof cut) == length);
    HOLDS(strnlen(cut, sizeof cut) == sizeof cut - 1);
    free(bytes);
    return 0;
}
