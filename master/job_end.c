/* SPDX-License-Identifier: Apache-2.0 */
/* Newer SLURMs announce the end in the environment of a job; of older ones it is asked,
 * as what is left, which needs no clock nor time zone of theirs. A job without a limit,
 * or a controller that does not answer, is no error: then no end is known. */
#include "master/job_end.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "master/probe.h"

static const double patience = 5; /* seconds for squeue */

bool job_end_parse(const char *text, double *ret_seconds)
{
    char digits[64];
    size_t size = strcspn(text, " \t\r\n");
    int colons = 0;
    if (size == 0 || size > sizeof digits - 8)
        return false;
    for (size_t i = 0; i < size; i++)
        colons += text[i] == ':';
    /* Without hours, text_parse_duration would not take it. */
    const char *front = colons == 1 && !memchr(text, '-', size) ? "0:" : "";
    if (colons == 0 || text[0] == '-')
        return false;
    memcpy(digits, front, strlen(front));
    memcpy(digits + strlen(front), text, size);
    digits[strlen(front) + size] = '\0';
    return text_parse_duration(digits, ret_seconds);
}

bool job_end_find(double now, double *ret_left, const char **ret_source)
{
    const char *end = getenv("SLURM_JOB_END_TIME"), *job = getenv("SLURM_JOB_ID");
    double unix_end;
    struct probe p;
    if (end && text_parse_double(end, &unix_end)) {
        *ret_left = unix_end - now;
        *ret_source = "SLURM_JOB_END_TIME";
        return true;
    }
    if (!job || !*job)
        return false;
    probe_run((const char *const[]){"squeue", "-h", "-j", job, "-o", "%L", NULL},
              patience, &p);
    if (!p.started || p.exit_status != 0 || !job_end_parse(p.output, ret_left))
        return false;
    *ret_source = "squeue";
    return true;
}
