/* SPDX-License-Identifier: Apache-2.0 */
/* A place within an epoch is taken only where this training can stand: at the end of a
 * batch, with the generator of the crops in the stream of that epoch. */
#include "worker/training_state.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

_Static_assert(sizeof(struct rng) == 11 * 4, "no padding");

static int epoch_of(const void *training)
{
    const struct training *t = training;
    return t->position.epoch;
}

static void put_position(struct bytes *out, const struct training_position *p)
{
    bytes_put_u32(out, (uint32_t)p->at);
    bytes_put(out, &p->augment, sizeof p->augment);
    bytes_put_f64(out, p->loss);
    bytes_put_u64(out, (uint64_t)p->correct);
    bytes_put_u64(out, (uint64_t)p->images);
    bytes_put_f64(out, p->seconds);
}

static void put(const void *training, struct state_writer *out)
{
    const struct training *t = training;
    const struct optimizer *o = &t->descent.optimizer;
    size_t count;
    const float *statistics = nn_graph_statistics(t->graph, &count);
    put_position(&out->small, &t->position);
    state_writer_put_floats(out, nn_graph_parameters(t->graph),
                            nn_graph_parameter_count(t->graph));
    state_writer_put_floats(out, statistics, count);
    state_writer_put_floats(out, o->m, o->m ? o->count : 0);
    state_writer_put_floats(out, o->v, o->v ? o->count : 0);
    bytes_put_u64(&out->small, o->step);
}

/* In the middle of an epoch the generator stands in the stream of that epoch. */
static bool is_stream(const struct training *t, const struct training_position *p)
{
    struct rng start;
    rng_init(&start, t->seed, RNG_CHILD_AUGMENT, (uint64_t)p->epoch);
    return memcmp(start.key, p->augment.key, sizeof start.key) == 0 &&
           memcmp(start.counter + 1, p->augment.counter + 1, 3 * sizeof *start.counter) ==
               0 &&
           p->augment.used <= 4;
}

static bool is_within(const struct training *t, const struct training_position *p)
{
    int count = data_count(t->data, DATA_TRAIN);
    return p->at > 0 && p->at <= count && (p->at % t->batch == 0 || p->at == count) &&
           p->images == p->at && p->correct >= 0 && p->correct <= p->images &&
           isfinite(p->loss) && is_stream(t, p);
}

static bool position_fits(const struct training *t, const struct training_position *p,
                          int epochs)
{
    bool between = p->at == 0 && p->images == 0 && p->correct == 0 && p->loss == 0;
    return (between || (p->epoch < epochs && is_within(t, p))) && p->seconds >= 0 &&
           isfinite(p->seconds);
}

static struct training_position get_position(struct state_reader *in, int epoch)
{
    struct training_position p = {.epoch = epoch, .at = (int)state_reader_u32(in)};
    state_reader_get(in, &p.augment, sizeof p.augment);
    p.loss = state_reader_f64(in);
    p.correct = (int64_t)state_reader_u64(in);
    p.images = (int64_t)state_reader_u64(in);
    p.seconds = state_reader_f64(in);
    return p;
}

static const char *get(void *training, int epoch, int epochs, struct state_reader *in,
                       bool take)
{
    struct training *t = training;
    struct optimizer *o = &t->descent.optimizer;
    size_t count, parameters = nn_graph_parameter_count(t->graph);
    float *statistics = nn_graph_statistics(t->graph, &count);
    struct training_position p = get_position(in, epoch);
    if (in->failed || !position_fits(t, &p, epochs))
        return "stands at a place that this training does not pass";
    state_reader_get_floats(in, parameters, take ? nn_graph_parameters(t->graph) : NULL);
    state_reader_get_floats(in, count, take ? statistics : NULL);
    state_reader_get_floats(in, o->m ? o->count : 0, take ? o->m : NULL);
    state_reader_get_floats(in, o->v ? o->count : 0, take ? o->v : NULL);
    uint64_t step = state_reader_u64(in);
    if (take) {
        o->step = step;
        t->position = p;
    }
    return NULL;
}

static void restart(void *training)
{
    struct training *t = training;
    struct optimizer *o = &t->descent.optimizer;
    nn_graph_init(t->graph, t->seed);
    if (o->m)
        memset(o->m, 0, o->count * sizeof *o->m);
    if (o->v)
        memset(o->v, 0, o->count * sizeof *o->v);
    o->step = 0;
    t->position = (struct training_position){0};
}

static uint64_t most(const void *training)
{
    const struct training *t = training;
    size_t statistics;
    nn_graph_statistics(t->graph, &statistics);
    return 256 + (3 * nn_graph_parameter_count(t->graph) + statistics) * sizeof(float);
}

static const struct trainer_state_kind kind = {.threads_decide = true,
                                               .epoch = epoch_of,
                                               .put = put,
                                               .get = get,
                                               .restart = restart,
                                               .most = most};

int training_state_init(struct trainer_state *ret, struct training *t,
                        const struct config *config, const struct trainer_order *order,
                        struct error *err)
{
    const struct data_facts *facts = data_facts(t->data);
    char lines[256];
    snprintf(lines, sizeof lines,
             "kernels: %.40s\nimages: %d %d of %dx%dx%d in %d classes\n",
             nn_graph_kernels(t->graph), data_count(t->data, DATA_TRAIN),
             data_count(t->data, DATA_VALIDATION), facts->height, facts->width,
             facts->channels, facts->classes);
    return trainer_state_init(ret, &kind, t, config, order, lines, err);
}
