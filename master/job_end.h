/* SPDX-License-Identifier: Apache-2.0 */
/* When does the batch job that this process runs in end? */
#ifndef ARCHWAY_MASTER_JOB_END_H
#define ARCHWAY_MASTER_JOB_END_H

#include <stdbool.h>
#include <stddef.h>

/* Seconds that are left, and who said so ("SLURM_JOB_END_TIME", "squeue"). False when
 * this is no SLURM job, it has no end, or nobody tells. `now`: Unix time. Blocking while
 * SLURM is asked, at most 5 s. */
bool job_end_find(double now, double *ret_left, const char **ret_source);
/* "1-02:03:04", "02:03:04", "03:04" as squeue writes what is left; false for UNLIMITED
 * and all other words. */
bool job_end_parse(const char *text, double *ret_seconds);

#endif
