// Times of the kernels at the sizes of published ones, beside the bytes counted and what a copy of
// this device reaches. A time is the median over replays of a graph of launches, which go round
// through sets of buffers that together are larger than the second-level cache.
#include "core/philox.cuh"
#include "core/token_grid.h"
#include "gpu/device_buffer.h"
#include "gpu/report.h"
#include "mixers/memories/running_row.cuh"
#include "mixers/memories/sinkhorn.cuh"
#include "mixers/memories/sources_backward.cuh"
#include "mixers/memories/stream_write_dots.cuh"

#include <algorithm>
#include <functional>

namespace plumb::test {
namespace {

using namespace plumb::gpu;

// Numbers of size 1 in bf16, and as floats too: a float's upper half is a bf16.
__global__ void fill(long words, std::uint32_t* out) {
    for (long i = static_cast<long>(blockIdx.x) * blockDim.x + threadIdx.x; i < words / 4;
         i += static_cast<long>(gridDim.x) * blockDim.x) {
        const Philox r = philox({{static_cast<std::uint32_t>(i), 0, 0, 0}}, 1, 2);
        for (int k = 0; k < 4; ++k)  // sign, exponent of [1/2, 2), mantissa
            out[4 * i + k] = (r.word[k] & 0x80ff80ffu) | 0x3f003f00u;
    }
}

__global__ void copy_bytes(long n, const uint4* __restrict__ from, uint4* __restrict__ to) {
    const long i = static_cast<long>(blockIdx.x) * 4 * blockDim.x + threadIdx.x;
    uint4 x[4];
    for (int k = 0; k < 4; ++k)
        if (i + k * blockDim.x < n) x[k] = from[i + k * blockDim.x];
    for (int k = 0; k < 4; ++k)
        if (i + k * blockDim.x < n) to[i + k * blockDim.x] = x[k];
}

// One allocation for all; a timing takes what it needs from the start.
class Pool {
public:
    explicit Pool(std::size_t bytes) : memory_(bytes / 4) {
        launch(stream(), "fill", fill, Grid{4096, 256}, static_cast<long>(bytes / 4), memory_.at());
        check(cudaStreamSynchronize(stream()), "fill");
    }
    void restart() { used_ = 0; }
    template <class X>
    X* take(std::size_t n) {
        X* p = reinterpret_cast<X*>(reinterpret_cast<char*>(memory_.at()) + used_);
        used_ += (n * sizeof(X) + 255) / 256 * 256;
        if (used_ > memory_.size() * 4) throw CudaError("the timings' pool is too small");
        return p;
    }

private:
    Buffer<std::uint32_t> memory_;
    std::size_t used_ = 0;
};

// Seconds of one launch; `start(set)` launches with that set's buffers.
double median_time(int sets, const std::function<void(int)>& start) {
    cudaEvent_t before, after;
    check(cudaEventCreate(&before), "cudaEventCreate");
    check(cudaEventCreate(&after), "cudaEventCreate");
    const auto seconds = [&](auto&& work) {
        check(cudaEventRecord(before, stream()), "cudaEventRecord");
        work();
        check(cudaEventRecord(after, stream()), "cudaEventRecord");
        check(cudaEventSynchronize(after), "a timed kernel");
        float ms = 0;
        check(cudaEventElapsedTime(&ms, before, after), "cudaEventElapsedTime");
        return ms * 1e-3;
    };
    start(0);
    const double once = seconds([&] { start(0); });
    const int launches = std::max(sets, std::clamp(static_cast<int>(2e-3 / once), 2, 50));
    cudaGraph_t graph;
    cudaGraphExec_t replay;
    check(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeThreadLocal), "capture");
    for (int i = 0; i < launches; ++i) start(i % sets);
    check(cudaStreamEndCapture(stream(), &graph), "capture");
    check(cudaGraphInstantiate(&replay, graph, 0), "cudaGraphInstantiate");
    std::vector<double> times;
    for (int i = 0; i < 13; ++i)
        times.push_back(seconds([&] { check(cudaGraphLaunch(replay, stream()), "replay"); }));
    times.erase(times.begin(), times.begin() + 2);  // warm-up
    std::nth_element(times.begin(), times.begin() + 5, times.end());
    check(cudaGraphExecDestroy(replay), "cudaGraphExecDestroy");
    check(cudaGraphDestroy(graph), "cudaGraphDestroy");
    check(cudaEventDestroy(before), "cudaEventDestroy");
    check(cudaEventDestroy(after), "cudaEventDestroy");
    return times[5] / launches;
}

struct Aim {
    double seconds = 0, of_copy = 0, rate = 0;
};

class Timings {
public:
    explicit Timings(Report& report) : report_(report) {}

    void copies();
    void running_row(long N, int C);
    void reads(long N, int C, int S, const Aim& aim);
    void spreads(long N, int C, int S, const Aim& aim);
    void groups(long N, int C);
    void streams(long N, int C, const Aim& write);
    void sinkhorns(long N);

private:
    // Sets of buffers so that together they are more than four times the cache.
    int sets_for(double bytes) const { return static_cast<int>(2e8 / bytes) + 1; }
    void add(const std::string& name, double bytes, const Aim& aim, int sets,
             const std::function<void(int)>& start) {
        const double rate = aim.rate > 0 ? aim.rate : aim.of_copy * report_.copy();
        report_.add(Timing{name, median_time(sets, start), bytes, aim.seconds, rate});
    }
    template <int V, int P>
    void read(long N, int C, int S, const Aim& aim);
    template <int V, int G, int P>
    void spread(long N, int C, int S, const Aim& aim);
    template <int K, int V>
    void pull(long N, int C, int R);
    template <int Q, int G>
    void open(long N, int C, int S);
    template <int V_write, int V>
    void stream_passes(long N, int C, const Aim& write);
    static std::string shape(long N, int C) {
        return " (" + std::to_string(N) + ", " + std::to_string(C) + ")";
    }

    Report& report_;
    Pool pool_{std::size_t{6} << 30};
};

void Timings::copies() {
    const std::size_t bytes = std::size_t{1} << 30;
    pool_.restart();
    char *from = pool_.take<char>(bytes), *to = pool_.take<char>(bytes);
    const long n = static_cast<long>(bytes / 16);
    const double moved = 2.0 * static_cast<double>(bytes);
    const double by_kernel = median_time(1, [&](int) {
        launch(stream(), "copy_bytes", copy_bytes, Grid{static_cast<unsigned>(n / 1024), 256}, n,
               reinterpret_cast<const uint4*>(from), reinterpret_cast<uint4*>(to));
    });
    const double by_runtime = median_time(1, [&](int) {
        check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream()), "copy");
    });
    report_.set_copy(moved / std::min(by_kernel, by_runtime));
    report_.add(Timing{"copy of 1 GiB by a kernel", by_kernel, moved, 0, 0});
    report_.add(Timing{"copy of 1 GiB by cudaMemcpyAsync", by_runtime, moved, 0, 0});
}

void Timings::running_row(long N, int C) {
    constexpr int V = 1;
    const auto rows = static_cast<std::size_t>(N) * static_cast<std::size_t>(C);
    pool_.restart();
    Bf16 *v = pool_.take<Bf16>(rows), *xhat = pool_.take<Bf16>(rows), *dx = pool_.take<Bf16>(rows),
         *dv = pool_.take<Bf16>(rows);
    float *h = pool_.take<float>(rows), *rstd = pool_.take<float>(static_cast<std::size_t>(N));
    const NormArgs<Bf16> norm{xhat, rstd, nullptr, nullptr, dx, 1e-6f};
    const int W = warps_for(C, V);
    const double d = 2.0 * static_cast<double>(rows);
    const auto read = running_read<Bf16, V, true>;
    add("standard read" + shape(N, C), 6 * d, {}, 1, [&](int) {
        launch(stream(), "running_read", read, whole_grid(N, W), N, C, W, false, v, h, norm);
    });
    const auto back = running_read_backward<Bf16, V, true, false>;
    add("standard backward" + shape(N, C), 7 * d, {}, 1, [&](int) {
        launch(stream(), "running_read_backward", back, whole_grid(N, W), N, C, W, false, h, dv,
               nullptr, norm);
    });
}

template <int V, int P>
void Timings::read(long N, int C, int S, const Aim& aim) {
    constexpr int G = 3;
    const auto rows = static_cast<std::size_t>(N) * static_cast<std::size_t>(C);
    const auto n = static_cast<std::size_t>(N);
    pool_.restart();
    SourcesRead<Bf16> a{};
    a.N = N, a.C = C, a.W = warps_for(C, V), a.S = S;
    for (int k = 0; k < S; ++k) a.source.p[k] = pool_.take<Bf16>(rows);
    a.u = pool_.take<float>(static_cast<std::size_t>(C));
    a.Q = 1;
    a.rstd = pool_.take<float>(n);
    a.logits = pool_.take<float>(n * static_cast<std::size_t>(S)), a.k_step = N;
    a.lse = pool_.take<float>(n);
    a.eps = 1e-6f;
    a.norm = {pool_.take<Bf16>(rows), pool_.take<float>(n), nullptr, nullptr, nullptr, 1e-6f};
    const auto kernel = sources_read<Bf16, 1, V, G, P, true>;
    const Grid grid =
        resident_grid(kernel, N, a.W, sources_read_shared<Bf16, 1, V, P>(threads_for(a.W), a.W));
    add("attnres read, " + std::to_string(S) + " sources" + shape(N, C) +
            " V=" + std::to_string(V) + " G=" + std::to_string(G) + " P=" + std::to_string(P) +
            " blocks=" + std::to_string(grid.blocks),
        2.0 * (S + 1) * static_cast<double>(rows), aim, 1,
        [&](int) { launch(stream(), "sources_read", kernel, grid, a); });
}
void Timings::reads(long N, int C, int S, const Aim& aim) {
    if (C <= 512) return read<2, 3>(N, C, S, aim);
    if (C <= 768) return read<3, 3>(N, C, S, aim);
    if (C <= 1024) return read<4, 3>(N, C, S, aim);
    read<4, 4>(N, C, S, aim);
}

template <int V, int G, int P>
void Timings::spread(long N, int C, int S, const Aim& aim) {
    const auto rows = static_cast<std::size_t>(N) * static_cast<std::size_t>(C);
    const auto n = static_cast<std::size_t>(N);
    pool_.restart();
    SourcesPull<Bf16> a{};
    a.N = N, a.C = C, a.W = warps_for(C, V), a.R = 1, a.K = S;
    for (int k = 0; k < S; ++k)
        a.source.p[k] = pool_.take<Bf16>(rows), a.gradient.p[k] = pool_.take<Bf16>(rows);
    a.u = pool_.take<float>(static_cast<std::size_t>(C));
    a.rstd = pool_.take<float>(n * static_cast<std::size_t>(S));
    a.logits = pool_.take<float>(n * static_cast<std::size_t>(S)), a.k_step = N;
    a.lse = pool_.take<float>(n), a.delta = pool_.take<float>(n);
    a.norm = {pool_.take<Bf16>(rows),
              pool_.take<float>(n),
              nullptr,
              nullptr,
              pool_.take<Bf16>(rows),
              1e-6f};
    const auto kernel = sources_spread<Bf16, V, G, P, true, false>;
    const Grid grid = resident_grid(kernel, N, a.W, ring_bytes<Bf16, V, P>(threads_for(a.W)));
    a.du_part = pool_.take<float>(grid.blocks * static_cast<std::size_t>(C));
    add("attnres read backward, " + std::to_string(S) + " sources" + shape(N, C) +
            " V=" + std::to_string(V) + " G=" + std::to_string(G) + " P=" + std::to_string(P) +
            " blocks=" + std::to_string(grid.blocks),
        2.0 * (2 * S + 2) * static_cast<double>(rows), aim, 1,
        [&](int) { launch(stream(), "sources_spread", kernel, grid, S, a); });
}
void Timings::spreads(long N, int C, int S, const Aim& aim) {
    if (C <= 512) return spread<2, 1, 4>(N, C, S, aim);
    if (C <= 768) return spread<3, 1, 3>(N, C, S, aim);
    if (C <= 1024) return spread<4, 2, 4>(N, C, S, aim);
    spread<4, 2, 6>(N, C, S, aim);
}

// K sources pull from R readers.
template <int K, int V>
void Timings::pull(long N, int C, int R) {
    constexpr int G = 4;
    const auto rows = static_cast<std::size_t>(N) * static_cast<std::size_t>(C);
    const auto n = static_cast<std::size_t>(N), pairs = n * static_cast<std::size_t>(K * R);
    pool_.restart();
    SourcesPull<Bf16> a{};
    a.N = N, a.C = C, a.W = warps_for(C, V), a.R = R, a.K = K;
    for (int k = 0; k < K; ++k)
        a.source.p[k] = pool_.take<Bf16>(rows), a.gradient.p[k] = pool_.take<Bf16>(rows);
    for (int q = 1; q < R; ++q) a.d.p[q] = pool_.take<Bf16>(rows);
    a.u = pool_.take<float>(static_cast<std::size_t>(C * R));
    a.rstd = pool_.take<float>(n * K);
    a.logits = pool_.take<float>(pairs), a.t = pool_.take<float>(pairs), a.k_step = N * R;
    a.lse = pool_.take<float>(n * static_cast<std::size_t>(R));
    a.delta = pool_.take<float>(n * static_cast<std::size_t>(R));
    a.norm = {pool_.take<Bf16>(rows),
              pool_.take<float>(n),
              nullptr,
              nullptr,
              pool_.take<Bf16>(rows),
              1e-6f};
    const auto kernel = sources_pull<Bf16, K, V, G, 6, true, false>;
    const Grid grid = resident_grid(kernel, N, a.W, ring_bytes<Bf16, V, 6>(threads_for(a.W)));
    add("attnres pull, " + std::to_string(K) + " sources, " + std::to_string(R) + " readers" +
            shape(N, C),
        2.0 * (2 * K + R + 2) * static_cast<double>(rows), {0, 0.80, 0}, 1,
        [&](int) { launch(stream(), "sources_pull", kernel, grid, a); });
}

// Q reads over S sources.
template <int Q, int G>
void Timings::open(long N, int C, int S) {
    constexpr int V = 4;
    const auto rows = static_cast<std::size_t>(N) * static_cast<std::size_t>(C);
    const auto n = static_cast<std::size_t>(N);
    pool_.restart();
    SourcesRead<Bf16> a{};
    a.N = N, a.C = C, a.W = warps_for(C, V), a.S = S;
    for (int k = 0; k < S; ++k) a.source.p[k] = pool_.take<Bf16>(rows);
    for (int q = 1; q < Q; ++q) a.mixes.p[q] = pool_.take<Bf16>(rows);
    a.u = pool_.take<float>(static_cast<std::size_t>(C) * Q);
    a.Q = Q;
    a.rstd = pool_.take<float>(n);
    a.logits = pool_.take<float>(n * static_cast<std::size_t>(S * Q)), a.k_step = N * Q;
    a.lse = pool_.take<float>(n * Q);
    a.eps = 1e-6f;
    a.norm = {pool_.take<Bf16>(rows), pool_.take<float>(n), nullptr, nullptr, nullptr, 1e-6f};
    const auto kernel = sources_read<Bf16, Q, V, G, 6, true>;
    const Grid grid =
        resident_grid(kernel, N, a.W, sources_read_shared<Bf16, Q, V, 6>(threads_for(a.W), a.W));
    add("attnres open, " + std::to_string(S) + " sources, " + std::to_string(Q) + " queries" +
            shape(N, C),
        2.0 * (S + Q) * static_cast<double>(rows), {0, 0.85, 0}, 1,
        [&](int) { launch(stream(), "sources_read", kernel, grid, a); });
}
void Timings::groups(long N, int C) {
    open<2, 3>(N, C, 24);
    open<3, 3>(N, C, 24);
    open<4, 4>(N, C, 24);
    open<5, 3>(N, C, 24);
    pull<2, 4>(N, C, 24);
    pull<3, 4>(N, C, 24);
    pull<4, 2>(N, C, 24);
    pull<5, 2>(N, C, 24);
}

template <int V_write, int V>
void Timings::stream_passes(long N, int C, const Aim& aim) {
    constexpr int K = 4, P = 2;
    const auto rows = static_cast<std::size_t>(N) * static_cast<std::size_t>(C);
    const auto n = static_cast<std::size_t>(N);
    pool_.restart();
    Bf16 *x = pool_.take<Bf16>(K * rows), *next = pool_.take<Bf16>(K * rows),
         *v = pool_.take<Bf16>(rows), *dx = pool_.take<Bf16>(K * rows),
         *dv = pool_.take<Bf16>(rows), *xhat = pool_.take<Bf16>(rows),
         *dnorm = pool_.take<Bf16>(rows);
    float *scalars = pool_.take<float>(n * K * (K + 2)),
          *before = pool_.take<float>(n * K * (K + 2)),
          *dscalars = pool_.take<float>(n * K * (K + 2)), *rstd = pool_.take<float>(n);
    const NormArgs<Bf16> norm{xhat, rstd, nullptr, nullptr, dnorm, 1e-6f};
    const int W = warps_for(C, V);
    const double d = 2.0 * static_cast<double>(rows);
    const std::string suffix = shape(N, C) + " K=4";
    const auto write = streams_write<Bf16, K, V_write, true>;
    const int W_write = warps_for(C, V_write);
    add("mhc apply" + suffix, (2 * K + 1) * d, aim, 1, [&](int) {
        launch(stream(), "streams_write", write, whole_grid(N, W_write), N, C, W_write, false, x, v,
               scalars, next, nullptr);
    });
    constexpr int m = 24, tiles = 3;
    const long slabs = (C + WriteDots::kSlab - 1) / WriteDots::kSlab;
    Bf16* packed = pool_.take<Bf16>(2 * m * K * static_cast<std::size_t>(C));
    float* sums = pool_.take<float>(static_cast<std::size_t>(slabs * (m + 1)) * n);
    add("mhc apply and dots" + suffix, (2 * K + 1) * d, {}, 1, [&](int) {
        launch(stream(), "streams_write_dots", streams_write_dots<K, tiles, true>,
               write_dots_grid(N, slabs), N, C, m, false, x, v, scalars, packed, next, sums);
    });
    const auto read = streams_read<Bf16, K, V, true>;
    add("streams read" + suffix, (K + 1) * d, {}, 1, [&](int) {
        launch(stream(), "streams_read", read, whole_grid(N, W), N, C, W, x, scalars, norm);
    });
    const auto back = streams_backward<Bf16, K, V, P, true, false>;
    const Grid grid = resident_grid(back, N, W, ring_bytes<Bf16, 2 * K + 1, P>(threads_for(W)));
    add("streams backward" + suffix, (3 * K + 4) * d, {}, 1, [&](int) {
        launch(stream(), "streams_backward", back, grid, N, C, W, false, x, v, scalars, before,
               next, dx, dv, dscalars, nullptr, norm);
    });
}
void Timings::streams(long N, int C, const Aim& write) {
    if (C <= 2048) return stream_passes<2, 1>(N, C, write);
    stream_passes<4, 4>(N, C, write);
}

void Timings::sinkhorns(long N) {
    constexpr int K = 4, iters = 20;
    const std::size_t numbers = static_cast<std::size_t>(N) * K * K;
    const int sets = sets_for(8.0 * static_cast<double>(numbers));
    pool_.restart();
    std::vector<float*> z, dp, out;
    for (int i = 0; i < sets; ++i) {
        z.push_back(pool_.take<float>(numbers)), dp.push_back(pool_.take<float>(numbers));
        out.push_back(pool_.take<float>(numbers));
    }
    const Grid grid{static_cast<unsigned>((N + 63) / 64), 64};
    const Grid back{grid.blocks, 64, sinkhorn_backward_shared<float, K>(64, iters)};
    const std::string suffix = ", 20 iterations, 4 x 4, " + std::to_string(N) + " tokens";
    const auto at = [](const auto& all, int i) { return all[static_cast<std::size_t>(i)]; };
    add("sinkhorn" + suffix, 8.0 * static_cast<double>(numbers), {7e-6, 0, 0}, sets, [&](int i) {
        launch(stream(), "sinkhorn", sinkhorn<float, K>, grid, N, iters, at(z, i), at(out, i));
    });
    add("sinkhorn backward" + suffix, 12.0 * static_cast<double>(numbers), {}, sets, [&](int i) {
        launch(stream(), "sinkhorn_backward", sinkhorn_backward<float, K>, back, N, iters, at(z, i),
               at(dp, i), at(out, i));
    });
}

}  // namespace

void time_kernels(Report& report) {
    Timings t(report);
    t.copies();
    t.reads(8192, 7168, 9, {398e-6, 0, 0});
    for (const int C : {384, 512, 768, 1024}) t.reads(65536, C, 9, {0, 0.85, 0});
    t.spreads(8192, 7168, 9, {0, 0.80, 0});
    for (const int C : {384, 512, 768, 1024}) t.spreads(65536, C, 9, {0, 0.80, 0});
    t.streams(4096, 7168, {0, 0, 2.85e12});
    t.streams(16384, 1024, {});
    t.sinkhorns(16384);
    t.groups(16384, 1024);
    t.running_row(65536, 1024);
}

}  // namespace plumb::test
