/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of processors as plain bit arrays. glibc's cpu_set_t stops at 1024 processors and
 * its dynamic relative needs allocation; a fixed kilobyte for the kernel's own maximum
 * can be prepared before a process is started and handed to the system call as it is. */
#include "worker/cpu_list.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { WORD_BITS = 8 * sizeof(unsigned long) };

void cpu_list_add(struct cpu_list *list, int cpu)
{
    if (cpu >= 0 && cpu < CPU_LIST_MAX)
        list->bits[cpu / WORD_BITS] |= 1UL << (cpu % WORD_BITS);
}

bool cpu_list_has(const struct cpu_list *list, int cpu)
{
    if (cpu < 0 || cpu >= CPU_LIST_MAX)
        return false;
    return list->bits[cpu / WORD_BITS] >> (cpu % WORD_BITS) & 1;
}

int cpu_list_count(const struct cpu_list *list)
{
    int count = 0;
    for (size_t i = 0; i < sizeof list->bits / sizeof *list->bits; i++)
        count += __builtin_popcountl(list->bits[i]);
    return count;
}

/* A number below CPU_LIST_MAX at *text, which is moved behind it; -1 when there is none.
 */
static int parse_number(const char **text)
{
    const char *p = *text;
    int value = 0;
    if (!isdigit((unsigned char)*p))
        return -1;
    for (; isdigit((unsigned char)*p); p++) {
        value = value * 10 + (*p - '0');
        if (value >= CPU_LIST_MAX)
            return -1;
    }
    *text = p;
    return value;
}

static bool parse_range(const char **text, struct cpu_list *list)
{
    int first = parse_number(text), last = first;
    if (first < 0)
        return false;
    if (**text == '-') {
        (*text)++;
        last = parse_number(text);
    }
    if (last < first)
        return false;
    for (int cpu = first; cpu <= last; cpu++)
        cpu_list_add(list, cpu);
    return true;
}

bool cpu_list_parse(const char *text, struct cpu_list *ret)
{
    struct cpu_list list;
    memset(&list, 0, sizeof list);
    while (isspace((unsigned char)*text))
        text++;
    while (*text && !isspace((unsigned char)*text)) {
        if (!parse_range(&text, &list))
            return false;
        if (*text == ',' && isdigit((unsigned char)text[1]))
            text++;
        else if (*text && !isspace((unsigned char)*text))
            return false;
    }
    while (isspace((unsigned char)*text))
        text++;
    if (*text)
        return false;
    *ret = list;
    return true;
}

bool cpu_list_format(const struct cpu_list *list, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (int cpu = 0; cpu < CPU_LIST_MAX; cpu++) {
        char range[32];
        int last = cpu;
        if (!cpu_list_has(list, cpu))
            continue;
        while (cpu_list_has(list, last + 1))
            last++;
        int n = snprintf(range, sizeof range, last > cpu ? "%s%d-%d" : "%s%d",
                         used ? "," : "", cpu, last);
        if (used + (size_t)n >= size)
            return false;
        memcpy(text + used, range, (size_t)n + 1);
        used += (size_t)n;
        cpu = last;
    }
    return true;
}
