/* SPDX-License-Identifier: Apache-2.0 */
/* archway replay: does the record explain itself? */
#include "master/cli/commands.h"

#include <string.h>

#include "master/cli/output.h"

static void format_findings(const char *dir, const struct engine_check *c, struct text *out)
{
    const struct engine_reading *r = &c->reading;
    unsigned long long proposals = r->proposals, different = r->different;
    text_append(out, "%s: %llu records of %llu session%s read, %llu decisions made again.\n",
                dir, (unsigned long long)r->records, (unsigned long long)r->sessions,
                r->sessions == 1 ? "" : "s", proposals);
    if (different == 0)
        text_append(out, "Every decision is the same.\n");
    else
        text_append(out, "%llu of %llu differ, the first is that of trial %llu.\n", different,
                    proposals, (unsigned long long)r->first_different);
    if (!c->has_snapshot)
        text_append(out, "There is no readable snapshot to compare the state with.\n");
    else if (c->state_equal)
        text_append(out, "The state equals that of the snapshot, bit for bit.\n");
    else
        text_append(out, "The state is not that of the snapshot.\n");
    if (c->difference[0])
        text_append(out, "First difference: %s.\n", c->difference);
    if (r->torn)
        text_append(out, "The journal ends in a record that is not complete, as a kill leaves "
                         "it; that record is not part of the run.\n");
    if (r->note[0])
        text_append(out, "Note: %s.\n", r->note);
}

static int run_replay(const struct invocation *in, int *ret_exit, struct error *err)
{
    struct engine_check check;
    struct text out;
    int status = engine_verify(in->positional[0], &check, err);
    if (status != 0)
        return status;
    bool equal = check.reading.different == 0 && (!check.has_snapshot || check.state_equal);
    *ret_exit = equal ? 0 : 1;
    text_init(&out);
    format_findings(in->positional[0], &check, &out);
    return output_text(&out, err);
}

const struct command command_replay = {
    .name = "replay",
    .synopsis = "DIR",
    .summary = "re-make every decision of a run and compare",
    .description =
        "Reads the journal from its start, lets the strategies make every decision again, and "
        "compares: each proposal with the recorded one, and the state of the strategies with "
        "the newest snapshot at its place in the journal. Nothing is trained and nothing is "
        "written.\n"
        "Exit status 0: all the same; 1: something differs, the first difference is named. "
        "Another processor may round the controller's sums differently; a run is still "
        "continued from its record, which is the truth.",
    .example = "archway replay runs/first",
    .least = 1,
    .most = 1,
    .run = run_replay};
