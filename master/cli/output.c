/* SPDX-License-Identifier: Apache-2.0 */
/* Commands build what they have to say as text and write it once: an error that comes late
 * leaves no half table behind. */
#include "master/cli/output.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

int output_text(struct text *t, struct error *err)
{
    int status = 0;
    if (t->failed)
        status = error_set(err, ERROR_SYSTEM, "no memory for the output");
    else if (t->data && (fwrite(t->data, 1, t->size, stdout) != t->size ||
                         fflush(stdout) != 0))
        status = error_set_errno(err, "cannot write to standard output");
    text_fini(t);
    return status;
}

int output_json(json_t *json, struct error *err)
{
    struct text t;
    char *dump = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
    text_init(&t);
    if (dump)
        text_append(&t, "%s\n", dump);
    else
        t.failed = true;
    free(dump);
    json_decref(json);
    return output_text(&t, err);
}

int output_width(void)
{
    struct winsize size;
    if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
        return 0;
    return size.ws_col;
}

json_t *output_number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

int output_option_count(const struct invocation *in, const char *name, uint64_t least,
                        uint64_t most, uint64_t *ret, struct error *err)
{
    const char *value = command_value(in, name);
    uint64_t n;
    if (!value)
        return 0;
    if (!text_parse_uint64(value, &n) || n < least || n > most)
        return error_set(err, ERROR_USAGE,
                         "archway %s: --%s is '%s'; allowed: a whole number from %llu to %llu",
                         in->command->name, name, value, (unsigned long long)least,
                         (unsigned long long)most);
    *ret = n;
    return 0;
}

int output_open_run(const struct invocation *in, struct engine **ret,
                    struct engine_reading *ret_reading, struct error *err)
{
    return engine_open(in->positional[0], true, ret, ret_reading, err);
}
