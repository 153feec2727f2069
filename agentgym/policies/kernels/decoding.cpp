// What a decoder does between its matrix products, with one pass over memory each. native.py calls it.
//
// Shapes: N packed tokens; E hidden size; M size within the MLP; H query heads; K key/value heads; D head size;
// J = H + K. The position t of key head k of an extent is the row (start * K + size * k + t) of a layer's keys
// and of its values, [P * K, D] each (see kv_cache.py).
//
// Sums are in float32, whatever numbers the model has. What is not finite stays so: the engine looks for it.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

struct bfloat16 {
    uint16_t bits;
};

inline float widened(float x) { return x; }

inline float widened(bfloat16 x) {
    const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
    float wide;
    std::memcpy(&wide, &bits, sizeof wide);
    return wide;
}

inline void store(float *to, float x) { *to = x; }

// To the nearest, ties to even.
inline void store(bfloat16 *to, float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    to->bits = static_cast<uint16_t>(x != x ? 0x7fc0 : rounded);
}

// e^x for x <= 0: 2^n times e^r with |r| <= ln 2 / 2, by the polynomial of Cephes' expf; 0 below -87.
inline float exponential(float x) {
    const bool vanishes = x < -87.0f;
    x = vanishes ? 0.0f : x;
    const float n = std::nearbyint(x * 1.44269504f);
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    const int32_t bits = (static_cast<int32_t>(n) + 127) << 23;
    float scale;
    std::memcpy(&scale, &bits, sizeof scale);
    return vanishes ? 0.0f : p * scale;
}

// Where each packed token goes: its extent's start and size, and its position there.
struct Places {
    const int64_t *start, *size, *position;

    int64_t row(int64_t n, int64_t k, int64_t kv_heads) const { return start[n] * kv_heads + size[n] * k; }
};

struct Heads {
    int64_t query, key, size;
};

// hidden += added; out = hidden / rms(hidden) * weight.
template <typename T>
void add_norm(T *hidden, const T *added, const T *weight, T *out, int64_t tokens, int64_t size, float epsilon,
              int threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t n = 0; n < tokens; n++) {
        T *const x = hidden + n * size;
        if (added)
            for (int64_t i = 0; i < size; i++) store(x + i, widened(x[i]) + widened(added[n * size + i]));
        float squares = 0.0f;
        for (int64_t i = 0; i < size; i++) squares += widened(x[i]) * widened(x[i]);
        const float factor = 1.0f / std::sqrt(squares / size + epsilon);
        for (int64_t i = 0; i < size; i++) store(out + n * size + i, widened(x[i]) * factor * widened(weight[i]));
    }
}

// One head, normed where there is a norm, with its pairs of numbers turned by the token's angles.
template <typename T>
void rotate(const T *from, const float *norm, const float *rotation, T *to, int64_t size, float epsilon,
            float *wide) {
    for (int64_t i = 0; i < size; i++) wide[i] = widened(from[i]);
    if (norm) {
        float squares = 0.0f;
        for (int64_t i = 0; i < size; i++) squares += wide[i] * wide[i];
        const float factor = 1.0f / std::sqrt(squares / size + epsilon);
        for (int64_t i = 0; i < size; i++) wide[i] *= factor * norm[i];
    }
    for (int64_t i = 0; i < size; i += 2) {
        const float a = wide[i], b = wide[i + 1];
        wide[i] = a * rotation[i] - b * rotation[i + 1];
        wide[i + 1] = a * rotation[i + 1] + b * rotation[i];
    }
    for (int64_t i = 0; i < size; i++) store(to + i, wide[i]);
}

// Splits projected [N, H + 2K, D]: queries rotated into [N, H, D], keys rotated and values to their places.
template <typename T>
void place(const T *projected, const float *norm, const float *rotation, T *query, T *keys, T *values,
           Places places, int64_t tokens, Heads heads, float epsilon, int threads) {
    const int64_t size = heads.size;
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        std::vector<float> wide(size);
#pragma omp for
        for (int64_t n = 0; n < tokens; n++) {
            const T *from = projected + n * (heads.query + 2 * heads.key) * size;
            for (int64_t j = 0; j < heads.query + heads.key; j++, from += size) {
                T *const to = j < heads.query
                    ? query + (n * heads.query + j) * size
                    : keys + (places.row(n, j - heads.query, heads.key) + places.position[n]) * size;
                rotate(from, norm ? norm + j * size : nullptr, rotation + n * size, to, size, epsilon, wide.data());
            }
            for (int64_t k = 0; k < heads.key; k++, from += size)
                std::copy(from, from + size, values + (places.row(n, k, heads.key) + places.position[n]) * size);
        }
    }
}

// A head's size that the compiler knows, which lets it keep a head in registers; or one that it does not.
template <int D> struct Known {
    constexpr operator int() const { return D; }
};

// Memory is read in stretches of a few pages, too short for the processor to foresee where the next one begins.
template <typename T> inline void foresee(const T *row, int size) {
    for (int i = 0; i < size; i += 64 / sizeof(T)) __builtin_prefetch(row + i);
}

// `next_keys` are read after this head.
template <typename T, typename Size>
void attend_head(const T *query, const T *keys, const T *values, const T *next_keys, T *out, int64_t length,
                 float scale, Size size, float *asked, float *weights) {
    for (int i = 0; i < size; i++) asked[i] = widened(query[i]) * scale;
    float most = -INFINITY;
    for (int64_t t = 0; t < length; t++) {
        float score = 0.0f;
        for (int i = 0; i < size; i++) score += asked[i] * widened(keys[t * size + i]);
        foresee(values + t * size, size);
        weights[t] = score;
        most = score > most ? score : most;
    }
    float total = 0.0f;
    for (int64_t t = 0; t < length; t++) {
        const float weight = exponential(weights[t] - most);
        weights[t] = weight;
        total += weight;
    }
    float *const sum = asked;
    for (int i = 0; i < size; i++) sum[i] = 0.0f;
    for (int64_t t = 0; t < length; t++) {
        foresee(next_keys + t * size, size);
        for (int i = 0; i < size; i++) sum[i] += weights[t] * widened(values[t * size + i]);
    }
    for (int i = 0; i < size; i++) store(out + i, sum[i] / total);
}

template <typename T, typename Size>
void attend_sized(const T *query, const T *keys, const T *values, T *out, Places places, int64_t tokens,
                  Heads heads, float scale, int threads, Size size) {
    const int64_t groups = heads.query / heads.key, all = tokens * heads.query;
    const auto held = [&](int64_t head) {
        return places.row(head / heads.query, head % heads.query / groups, heads.key) * size;
    };
    const int64_t longest = *std::max_element(places.position, places.position + tokens) + 1;
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        std::vector<float> asked(size), weights(longest);
#pragma omp for
        for (int64_t head = 0; head < all; head++) {
            const int64_t own = head * size, here = held(head), next = held(std::min(head + 1, all - 1));
            attend_head(query + own, keys + here, values + here, keys + next, out + own,
                        places.position[head / heads.query] + 1, scale, size, asked.data(), weights.data());
        }
    }
}

// Each token attends to its extent up to its own position: [N, H, D] from [N, H, D].
template <typename T>
void attend(const T *query, const T *keys, const T *values, T *out, Places places, int64_t tokens, Heads heads,
            float scale, int threads) {
    const auto sized = [&](auto size) {
        attend_sized(query, keys, values, out, places, tokens, heads, scale, threads, size);
    };
    if (heads.size == 32) sized(Known<32>());
    else if (heads.size == 64) sized(Known<64>());
    else if (heads.size == 128) sized(Known<128>());
    else sized(static_cast<int>(heads.size));
}

// silu(gate) * up: [N, M] from [N, 2M].
template <typename T>
void gate(const T *gate_and_up, T *out, int64_t tokens, int64_t size, int threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t n = 0; n < tokens; n++) {
        const T *const gates = gate_and_up + 2 * n * size, *const ups = gates + size;
        for (int64_t i = 0; i < size; i++) {
            const float x = widened(gates[i]), e = exponential(-std::fabs(x));
            store(out + n * size + i, x * ((x < 0.0f ? e : 1.0f) / (1.0f + e)) * widened(ups[i]));
        }
    }
}

// The token at `target` of the running sum of weights: block by block first, then within one, for sums that are short.
constexpr int64_t block = 64;

inline float sum_of(const float *weights, int64_t count) {
    float sum = 0.0f;
    for (int64_t i = 0; i < count; i++) sum += weights[i];
    return sum;
}

inline int64_t token_at(float target, const float *weights, int64_t size) {
    float before = 0.0f;
    for (int64_t first = 0; first < size; first += block) {
        const int64_t count = std::min(block, size - first);
        const float mass = sum_of(weights + first, count);
        if (before + mass > target) {
            int64_t possible = first;
            for (int64_t i = first; i < first + count; i++) {
                before += weights[i];
                if (weights[i] > 0.0f) possible = i;
                if (before > target) break;
            }
            return possible;
        }
        before += mass;
    }
    return size - 1;  // nothing lies above what is not a number
}

// Draws a token of each row at its temperature, by the number in [0, 1) that it brings; the most likely one where
// the temperature is 0. Log-probabilities are those at the temperature, at 1 where that is 0.
template <typename T>
void draw(const T *logits, const float *uniforms, const float *temperatures, int64_t *ids, float *logprobs,
          int64_t rows, int64_t size, int threads) {
    constexpr float below_one = 1.0f - 1.0f / (1 << 22);  // stays below 1 when multiplied with a sum
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        std::vector<float> weights(size);
#pragma omp for
        for (int64_t b = 0; b < rows; b++) {
            const T *const row = logits + b * size;
            const bool greedy = temperatures[b] <= 0.0f;
            const float sharpness = greedy ? 1.0f : 1.0f / temperatures[b];
            float most = -INFINITY;
            for (int64_t i = 0; i < size; i++) most = widened(row[i]) > most ? widened(row[i]) : most;
            for (int64_t i = 0; i < size; i++) weights[i] = exponential((widened(row[i]) - most) * sharpness);
            float total = 0.0f;
            for (int64_t i = 0; i < size; i += block) total += sum_of(&weights[i], std::min(block, size - i));
            const int64_t id = greedy
                ? std::max_element(weights.begin(), weights.end()) - weights.begin()
                : token_at(std::min(uniforms[b], below_one) * total, weights.data(), size);
            ids[b] = id;
            logprobs[b] = (widened(row[id]) - most) * sharpness - std::log(total);
        }
    }
}

}  // namespace

#define EXPORT(NAME, T)                                                                                          \
    extern "C" void add_norm_##NAME(T *hidden, const T *added, const T *weight, T *out, int64_t tokens,         \
                                    int64_t size, float epsilon, int threads) {                                 \
        add_norm(hidden, added, weight, out, tokens, size, epsilon, threads);                                   \
    }                                                                                                            \
    extern "C" void place_##NAME(const T *projected, const float *norm, const float *rotation, T *query,        \
                                 T *keys, T *values, const int64_t *places, int64_t tokens, int64_t heads,      \
                                 int64_t kv_heads, int64_t size, float epsilon, int threads) {                  \
        place(projected, norm, rotation, query, keys, values,                                                   \
              Places{places, places + tokens, places + 2 * tokens}, tokens, Heads{heads, kv_heads, size},       \
              epsilon, threads);                                                                                \
    }                                                                                                            \
    extern "C" void attend_##NAME(const T *query, const T *keys, const T *values, T *out,                       \
                                  const int64_t *places, int64_t tokens, int64_t alone, int64_t heads,          \
                                  int64_t kv_heads, int64_t size, float scale, int threads) {                   \
        attend(query, keys, values, out, Places{places, places + tokens, places + 2 * tokens}, alone,           \
               Heads{heads, kv_heads, size}, scale, threads);                                                   \
    }                                                                                                            \
    extern "C" void gate_##NAME(const T *gate_and_up, T *out, int64_t tokens, int64_t size, int threads) {      \
        gate(gate_and_up, out, tokens, size, threads);                                                          \
    }                                                                                                            \
    extern "C" void draw_##NAME(const T *logits, const float *uniforms, const float *temperatures,              \
                                int64_t *ids, float *logprobs, int64_t rows, int64_t size, int threads) {       \
        draw(logits, uniforms, temperatures, ids, logprobs, rows, size, threads);                               \
    }

EXPORT(float32, float)
EXPORT(bfloat16, bfloat16)
