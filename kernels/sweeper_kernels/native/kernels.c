/* The groups of a tessellation on a CPU: tiles of W0 + λ[Γ], and sums over the groups.

   Γ is computed a strip of a row at a time and used at once. A strip is short, so that a processor
   begins to compute the next while it waits for the memory of this one. The arithmetic is that of
   tessellation.py, bit for bit. Loops are written for the compiler to vectorise; threads share the
   strips of a tile. */

#include <stdint.h>

#define STRIP 128
#define ROUNDS 6

enum { SHUFFLED, BY_ROW, BY_COLUMN };

/* Division of numbers below 2**31 by a constant: number * factor >> shift. */
typedef struct {
    uint64_t factor;
    uint64_t shift;
} divisor;

/* Mirrored, field by field, by _Grouping in native.py. */
typedef struct {
    const int32_t *stored; /* Γ, [O, I], or NULL to compute it */
    const int32_t *ends;   /* of skewed groups, or NULL */
    const int32_t *starts; /* with ends: the first group of each bucket of positions */
    divisor by_size, by_size_and_one, by_columns;
    uint32_t out_features, in_features;
    uint32_t rows, columns; /* sides of the Feistel network */
    uint32_t keys[ROUNDS];
    uint32_t size, larger, bucket_bits, order;
} grouping;

/* Rows o0 … o1-1 and columns i0 … i1-1 of a matrix. */
typedef struct {
    int64_t o0, o1, i0, i1;
} tile;

static inline uint32_t divide(uint32_t number, divisor by) {
    return (uint32_t)((number * by.factor) >> by.shift);
}

static inline uint32_t hash(uint32_t number, uint32_t key, uint32_t size) {
    uint32_t mixed = (number ^ key) * 0x7FEB352Du;
    mixed ^= mixed >> 15;
    mixed *= 0x846CA68Bu;
    return ((mixed >> 16) * size) >> 16;
}

/* a + b modulo m for a, b < m: where the sum is below m, sum - m wraps to a larger number. */
static inline uint32_t add_modulo(uint32_t a, uint32_t b, uint32_t m) {
    uint32_t sum = a + b, reduced = a + b - m;
    return sum < reduced ? sum : reduced;
}

/* The half-rounds after the first, which is the same for a whole row. */
static inline uint32_t rest_of_rounds(uint32_t p, uint32_t q, uint32_t rows, uint32_t columns,
                                      const uint32_t *keys) {
    for (int turn = 1; turn < ROUNDS; turn += 2) {
        p = add_modulo(p, hash(q, keys[turn], rows), rows);
        if (turn + 1 < ROUNDS)
            q = add_modulo(q, hash(p, keys[turn + 1], columns), columns);
    }
    return p * columns + q;
}

static void shuffled_by_shape(const grouping *g, uint32_t o, uint32_t i0, uint32_t count,
                              int32_t *restrict out) {
    const uint32_t rows = g->rows, columns = g->columns;
    uint32_t keys[ROUNDS];
    for (int turn = 0; turn < ROUNDS; turn++) keys[turn] = g->keys[turn];
    const uint32_t turned = hash(o, keys[0], columns);
    for (uint32_t j = 0; j < count; j++)
        out[j] = (int32_t)rest_of_rounds(o, add_modulo(i0 + j, turned, columns), rows, columns,
                                         keys);
}

static void shuffled_by_walking(const grouping *g, uint32_t o, uint32_t i0, uint32_t count,
                                int32_t *restrict out) {
    const uint32_t weights = g->out_features * g->in_features;
    for (uint32_t j = 0; j < count; j++) {
        uint32_t number = o * g->in_features + i0 + j;
        do {
            uint32_t p = divide(number, g->by_columns), q = number - p * g->columns;
            q = add_modulo(q, hash(p, g->keys[0], g->columns), g->columns);
            number = rest_of_rounds(p, q, g->rows, g->columns, g->keys);
        } while (number >= weights);
        out[j] = (int32_t)number;
    }
}

static void positions(const grouping *g, uint32_t o, uint32_t i0, uint32_t count,
                      int32_t *restrict out) {
    if (g->order == BY_ROW) {
        for (uint32_t j = 0; j < count; j++) out[j] = (int32_t)(o * g->in_features + i0 + j);
    } else if (g->order == BY_COLUMN) {
        for (uint32_t j = 0; j < count; j++) out[j] = (int32_t)((i0 + j) * g->out_features + o);
    } else if (g->rows == g->out_features && g->columns == g->in_features) {
        shuffled_by_shape(g, o, i0, count, out);
    } else {
        shuffled_by_walking(g, o, i0, count, out);
    }
}

/* Replaces each position by the number of ends at or before it. The search starts at the first group
   of the position's bucket, of which there are some thousands; few buckets have several groups. */
static void skewed_groups(const grouping *g, uint32_t count, int32_t *restrict in_out) {
    for (uint32_t j = 0; j < count; j++) {
        int32_t position = in_out[j], found = g->starts[position >> g->bucket_bits];
        while (g->ends[found] <= position) found++;
        in_out[j] = found;
    }
}

static void balanced_groups(const grouping *g, uint32_t count, int32_t *restrict in_out) {
    const divisor by_size = g->by_size, by_size_and_one = g->by_size_and_one;
    const uint32_t larger = g->larger, end = larger * (g->size + 1);
    if (larger == 0) {
        for (uint32_t j = 0; j < count; j++)
            in_out[j] = (int32_t)divide((uint32_t)in_out[j], by_size);
        return;
    }
    for (uint32_t j = 0; j < count; j++) {
        uint32_t position = (uint32_t)in_out[j];
        uint32_t early = divide(position, by_size_and_one);
        uint32_t late = larger + divide(position < end ? 0 : position - end, by_size);
        in_out[j] = (int32_t)(position < end ? early : late);
    }
}

/* The groups of count weights of row o from column i0: stored ones, or buffer. */
static const int32_t *groups_of(const grouping *g, int64_t o, int64_t i0, uint32_t count,
                                int32_t *buffer) {
    if (g->stored) return g->stored + o * (int64_t)g->in_features + i0;
    positions(g, (uint32_t)o, (uint32_t)i0, count, buffer);
    if (g->ends)
        skewed_groups(g, count, buffer);
    else
        balanced_groups(g, count, buffer);
    return buffer;
}

/* Work is shared by strips, numbered row by row. */
#define STRIPS_OF_ROW(t) (((t)->i1 - (t)->i0 + STRIP - 1) / STRIP)
#define OF_STRIP(t, number)                                                  \
    int64_t row = (number) / STRIPS_OF_ROW(t);                               \
    int64_t first = ((number) % STRIPS_OF_ROW(t)) * STRIP;                   \
    int64_t rest = (t)->i1 - (t)->i0 - first;                                \
    uint32_t count = (uint32_t)(rest < STRIP ? rest : STRIP);                \
    const int32_t *restrict group =                                          \
        groups_of(g, (t)->o0 + row, (t)->i0 + first, count, buffer)

/* out[o, i] = Γ[o, i] */
void sweeper_group_index(const grouping *g, const tile *t, int threads, int32_t *out) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t number = 0; number < (t->o1 - t->o0) * STRIPS_OF_ROW(t); number++) {
        int32_t buffer[STRIP];
        OF_STRIP(t, number);
        int32_t *restrict to = out + row * (t->i1 - t->i0) + first;
        for (uint32_t j = 0; j < count; j++) to[j] = group[j];
    }
}

/* out[o, i] = λ[Γ[o, i]] (+ W0[o, i]); weight points to the tile's first weight, or is NULL. */
void sweeper_expand(const grouping *g, const tile *t, int threads, const float *values,
                    const float *weight, int64_t weight_stride, float *out) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t number = 0; number < (t->o1 - t->o0) * STRIPS_OF_ROW(t); number++) {
        int32_t buffer[STRIP];
        OF_STRIP(t, number);
        float *restrict to = out + row * (t->i1 - t->i0) + first;
        if (weight) {
            const float *restrict from = weight + row * weight_stride + first;
            for (uint32_t j = 0; j < count; j++) to[j] = from[j] + values[group[j]];
        } else {
            for (uint32_t j = 0; j < count; j++) to[j] = values[group[j]];
        }
    }
}

/* sums[thread, Γ[o, i]] += tile[o, i] in float32: for many groups. */
void sweeper_add_float(const grouping *g, const tile *t, int threads, const float *values,
                       int64_t stride, int64_t groups, float *sums) {
    /* One iteration is one thread's share, so that its number is known without OpenMP's library. */
    const int64_t strips = (t->o1 - t->o0) * STRIPS_OF_ROW(t);
#pragma omp parallel for schedule(static, 1) num_threads(threads)
    for (int thread = 0; thread < threads; thread++) {
        float *restrict own = sums + thread * groups;
        int32_t buffer[STRIP];
        for (int64_t number = strips * thread / threads;
             number < strips * (thread + 1) / threads; number++) {
            OF_STRIP(t, number);
            const float *restrict from = values + row * stride + first;
            for (uint32_t j = 0; j < count; j++) own[group[j]] += from[j];
        }
    }
}

#define LANES 8

/* sums[thread, Γ[o, i], lane] += tile[o, i] in float64, lanes 1 or 8: neighbours of one group go to
   different lanes, or each would wait for the one before. */
void sweeper_add_double(const grouping *g, const tile *t, int threads, const float *values,
                        int64_t stride, int64_t groups, int lanes, double *sums) {
    const int64_t strips = (t->o1 - t->o0) * STRIPS_OF_ROW(t);
#pragma omp parallel for schedule(static, 1) num_threads(threads)
    for (int thread = 0; thread < threads; thread++) {
        double *restrict own = sums + thread * groups * lanes;
        int32_t buffer[STRIP];
        for (int64_t number = strips * thread / threads;
             number < strips * (thread + 1) / threads; number++) {
            OF_STRIP(t, number);
            const float *restrict from = values + row * stride + first;
            if (lanes == 1) {
                for (uint32_t j = 0; j < count; j++) own[group[j]] += from[j];
                continue;
            }
            uint32_t j = 0;
            for (; j + LANES <= count; j += LANES)
                for (uint32_t lane = 0; lane < LANES; lane++)
                    own[(int64_t)group[j + lane] * LANES + lane] += from[j + lane];
            for (; j < count; j++) own[(int64_t)group[j] * LANES] += from[j];
        }
    }
}
