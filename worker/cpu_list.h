/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of logical processors and their text, "0-3,8", as the kernel and taskset write it.
 * Plain data, copied by assignment. */
#ifndef ARCHWAY_WORKER_CPU_LIST_H
#define ARCHWAY_WORKER_CPU_LIST_H

#include <stdbool.h>
#include <stddef.h>

enum { CPU_LIST_MAX = 8192 }; /* processors, the kernel's own limit */

/* The layout of cpu_set_t, made for sched_setaffinity. */
struct cpu_list {
    unsigned long bits[CPU_LIST_MAX / (8 * sizeof(unsigned long))];
};

void cpu_list_add(struct cpu_list *list, int cpu); /* out of range: ignored */
bool cpu_list_has(const struct cpu_list *list, int cpu);
int cpu_list_count(const struct cpu_list *list);
/* "" is the empty set. False, with ret untouched, when text is no list of processors below
 * CPU_LIST_MAX. Blanks around the text and a final newline are allowed. */
bool cpu_list_parse(const char *text, struct cpu_list *ret);
/* Ascending, ranges joined. A text longer than size-1 ends after the last whole range; false
 * then. */
bool cpu_list_format(const struct cpu_list *list, char *text, size_t size);

#endif
