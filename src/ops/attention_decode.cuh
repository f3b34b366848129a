// Attention of new positions to a cache of keys and values on a GPU (ops/attention_decode.h).
//
// Layout: as there: keys (B, Hkv, D, room) channel by channel, values (B, Hkv, T, D). Two kernels.
// Who computes what: `decode_heads`, 16 threads a head of a new position, as ops/attention_tile.cuh
// turns a row, but in place; keys and values go to the cache. `decode`, a block a query: each
// thread scores every 256th position (neighbours read neighbours in each of the D rows of keys),
// the block has maximum and sum, then 256 / D' slices of positions add up values, D' = D up to a
// power of two, and the slices are added in order. Scores are in shared memory, T at most. Bytes a
// query: 2 t D numbers read, t = positions so far; flops 4 t D. Bits do not depend on the other
// sequences.
#pragma once

#include "ops/attention_tile.cuh"

namespace plumb::gpu {

template <class T>
struct DecodeArgs {
    using Real = RealOf<T>;
    long batch, context, first, count, stride;  // B, T; positions, DecodeRows
    int heads, kv_heads, dim;                   // H, Hkv, D
    long room;                                  // cache_positions(T)
    T* qkv;                                     // (B stride, (H + 2 Hkv) D); q and k are turned
    const Real *gain_q, *gain_k;                // (D) or null
    Real eps;
    const Real *cos, *sin;  // (T, D/2)
    T *keys, *values;

    PLUMB_BOTH long width() const { return static_cast<long>(heads + 2 * kv_heads) * dim; }
    PLUMB_BOTH long all_heads() const { return heads + 2 * kv_heads; }
};

// Head number blockIdx.x 16 + tile_row() of all of B, count, H + 2 Hkv.
template <class T>
__global__ void __launch_bounds__(kTileThreads, 1) decode_heads(DecodeArgs<T> a) {
    using Real = RealOf<T>;
    const int D = a.dim, half = D / 2;
    const long all = blockIdx.x * 16L + tile_row(), rows = a.batch * a.count;
    const long h = all % a.all_heads(), row = all / a.all_heads(), b = row / a.count,
               i = row % a.count, t = a.first + i;
    const bool live = row < rows, is_value = h >= a.heads + a.kv_heads,
               is_key = h >= a.heads && !is_value;
    const Real* gain = is_key ? a.gain_k : a.gain_q;
    T* x = a.qkv + (b * a.stride + i) * a.width() + h * D;
    const Real r = inverse_rms<T>(x, live && !is_value, D, a.eps);
    __syncwarp();  // the row has been read, before it is written over
    if (!live) return;
    if (is_value) {
        T* to = a.values + ((b * a.kv_heads + h - a.heads - a.kv_heads) * a.context + t) * D;
        for (int j = tile_column(); j < D; j += 16) to[j] = x[j];
        return;
    }
    T* key = a.keys + (b * a.kv_heads + h - a.heads) * D * a.room + t;
    for (int j = tile_column(); j < half; j += 16) {
        Real p = Real(x[j]), q = Real(x[j + half]);
        if (gain) p *= r * gain[j], q *= r * gain[j + half];
        const Real cos = a.cos[t * half + j], sin = a.sin[t * half + j];
        const T turned = static_cast<T>(p * cos - q * sin),
                other = static_cast<T>(q * cos + p * sin);
        x[j] = turned, x[j + half] = other;
        if (is_key) key[j * a.room] = turned, key[(j + half) * a.room] = other;
    }
}

template <class Real>
struct DecodeMemory {  // in shared memory
    BlockMemory<Real> max, sum;
    Real part[kTileThreads];
};

// Block (b H + h) count + i. The scores are in dynamic shared memory.
template <class T>
__global__ void __launch_bounds__(kTileThreads, 1) decode(DecodeArgs<T> a, T* out) {
    using Real = RealOf<T>;
    PLUMB_SHARED(DecodeMemory<Real>, memory);
    Real* scores = static_cast<Real*>(dynamic_shared());
    const int D = a.dim, me = static_cast<int>(threadIdx.x);
    const long i = blockIdx.x % a.count, head = blockIdx.x / a.count, h = head % a.heads,
               b = head / a.heads, kv = h / (a.heads / a.kv_heads), seen = a.first + i + 1;
    const T* q = a.qkv + (b * a.stride + i) * a.width() + h * D;
    const T* keys = a.keys + (b * a.kv_heads + kv) * D * a.room;
    const T* values = a.values + (b * a.kv_heads + kv) * a.context * D;
    const Real scale = 1 / sqrt(static_cast<Real>(D));
    Real max = -INFINITY, sum = 0;
    for (long t = me; t < seen; t += kTileThreads) {
        Real s = 0;
        for (int j = 0; j < D; ++j) s += Real(q[j]) * scale * Real(keys[j * a.room + t]);
        scores[t] = s;
        if (s > max) max = s;
    }
    max = over_block(max, memory.max, [](Real x, Real y) { return y > x ? y : x; });
    for (long t = me; t < seen; t += kTileThreads) {
        scores[t] = weight(scores[t] - max);
        sum += scores[t];
    }
    sum = block_sum(sum, memory.sum);  // all scores are there
    int wide = 1;
    while (wide < D && wide < static_cast<int>(kTileThreads)) wide *= 2;
    const int slices = static_cast<int>(kTileThreads) / wide, slice = me / wide;
    T* to = out + (b * a.stride + i) * a.heads * D + h * D;
    for (int first = 0; first < D; first += wide) {
        const int j = first + me % wide;
        Real mine = 0;
        if (j < D)
            for (long t = slice; t < seen; t += slices) mine += scores[t] * Real(values[t * D + j]);
        __syncthreads();  // what was there has been read
        memory.part[me] = mine;
        __syncthreads();
        if (slice > 0 || j >= D) continue;
        for (int s = 1; s < slices; ++s) mine += memory.part[s * wide + me];
        to[j] = static_cast<T>(mine / sum);
    }
}

template <class T>
void attention_decode(cudaStream_t stream, const DecodeArgs<T>& a, T* out) {
    const long heads = a.batch * a.count * a.all_heads(), queries = a.batch * a.heads * a.count;
    if (queries == 0) return;
    launch(stream, "attention_decode: heads", decode_heads<T>,
           {static_cast<unsigned>((heads + 15) / 16), kTileThreads}, a);
    launch(stream, "attention_decode", decode<T>,
           {static_cast<unsigned>(queries), kTileThreads,
            static_cast<std::size_t>(a.first + a.count) * sizeof(RealOf<T>)},
           a, out);
}

}  // namespace plumb::gpu
