/* conf_table.c - open the table as the configuration has it. Only roles do, after their fork. */
#include "config.h"

#include <stdlib.h>

#include "conf.h"
#include "jobtab.h"

int conf_open_table(const struct conf *conf, bool must_exist, struct jobtab **table)
{
    struct jobtab_policy *policies = calloc(conf->n_kinds + 1, sizeof *policies);

    if (!policies) {
        return JOBTAB_SYSTEM;
    }
    for (size_t i = 0; i < conf->n_kinds; i++) {
        policies[i] = (struct jobtab_policy){
            .kind = conf->kinds[i].name,
            .max_attempts = conf->kinds[i].max_attempts,
            .max_crashes = conf->kinds[i].max_crashes,
            .backoff = conf->kinds[i].backoff,
            .timeout = conf->kinds[i].timeout,
        };
    }
    struct jobtab_options options = {
        .map_size = conf->table.map_size,
        .max_jobs = conf->table.max_jobs,
        .retention = conf->table.retention,
        .params_max = conf->table.params_max,
        .result_max = conf->table.result_max,
        .log_max = conf->table.log_max,
        .high_water = conf->table.high_water,
        .must_exist = must_exist,
        .policies = policies,
        .n_policies = conf->n_kinds,
    };
    int error = jobtab_open(conf->table.dir, &options, table);
    free(policies);
    return error;
}
