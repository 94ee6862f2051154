/* SPDX-License-Identifier: Apache-2.0 */
/* One write per message, so that lines of several processes do not mix. */
#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static enum log_level log_level = LOG_INFO;

void log_set_level(enum log_level level)
{
    log_level = level;
}

void log_message(enum log_level level, const char *format, ...)
{
    static const char *const names[] = {"error: ", "warning: ", "", "debug: "};
    char text[2048];
    va_list args;
    if (level > log_level)
        return;
    int used = snprintf(text, sizeof text, "archway: %s", names[level]);
    va_start(args, format);
    int n = vsnprintf(text + used, sizeof text - (size_t)used - 1, format, args);
    va_end(args);
    if (n < 0)
        return;
    size_t size = (size_t)used + (size_t)n;
    if (size > sizeof text - 2)
        size = sizeof text - 2;
    text[size++] = '\n';
    if (write(STDERR_FILENO, text, size) < 0)
        return; /* nowhere left to say it */
}
