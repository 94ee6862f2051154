/* SPDX-License-Identifier: Apache-2.0 */
/* Errors are plain values carried by the caller: no globals, no allocation, so that an
 * error can be reported when memory is gone. */
#include "common/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void error_format(struct error *err, const char *format, va_list args)
{
    int n = vsnprintf(err->text, sizeof err->text, format, args);
    if (n < 0)
        err->text[0] = '\0';
}

int error_set(struct error *err, int status, const char *format, ...)
{
    va_list args;
    if (!err)
        return status;
    err->status = status;
    va_start(args, format);
    error_format(err, format, args);
    va_end(args);
    return status;
}

int error_set_errno(struct error *err, const char *format, ...)
{
    int saved = errno;
    va_list args;
    if (!err)
        return ERROR_SYSTEM;
    err->status = ERROR_SYSTEM;
    va_start(args, format);
    error_format(err, format, args);
    va_end(args);
    size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof err->text - used, ": %s", strerror(saved));
    return ERROR_SYSTEM;
}

int error_prefix(struct error *err, const char *format, ...)
{
    char old[ERROR_TEXT_SIZE];
    va_list args;
    if (!err)
        return 0;
    memcpy(old, err->text, sizeof old);
    va_start(args, format);
    error_format(err, format, args);
    va_end(args);
    size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof err->text - used, ": %s", old);
    return err->status;
}

int error_exit_status(int status)
{
    if (status == ERROR_NONE)
        return 0;
    return status == ERROR_USAGE || status == ERROR_INPUT ? 2 : 1;
}
