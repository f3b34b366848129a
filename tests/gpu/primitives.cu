// What every kernel stands on, each against a plain computation on the host: sums over a token's
// threads, conversion to bf16, Philox, fragments of the tensor cores, the ring.
#include "core/mma.cuh"
#include "core/philox.cuh"
#include "core/ring.cuh"
#include "core/token_grid.h"
#include "gpu/device_buffer.h"
#include "gpu/report.h"
#include "gpu/walk_reference.h"

#include <cmath>
#include <random>

namespace plumb::test {
namespace {

using namespace plumb::gpu;

constexpr int kN = 24;  // sums

// x (threads, kN) -> sums known to every thread (threads, 3): of 1, 7 and 24; and stored (24). Each
// of other numbers at the same place: one that overwrites the last shows.
__global__ void sum_all(int W, const double* x, double* known, double* stored) {
    PLUMB_SHARED(GroupMemory<double>, memory);
    Group<double> g(W, memory);
    const double* mine = x + threadIdx.x * kN;
    double a[1], b[7], c[kN], d[kN];
    for (int i = 0; i < kN; ++i) {
        if (i < 1) a[i] = mine[i];
        if (i < 7) b[i] = mine[i + 1];
        c[kN - 1 - i] = d[i] = mine[i];
    }
    g.sums(a);
    g.sums(b);
    g.sums(c);
    double last = 0;
    for (int i = 0; i < 7; ++i) last = b[i];
    known[threadIdx.x * 3] = a[0], known[threadIdx.x * 3 + 1] = last;
    known[threadIdx.x * 3 + 2] = c[kN - 1];
    g.store_sums(d, true, stored + g.offset * kN, 1);
}

void check_sums(Report& report) {
    std::mt19937_64 random(1);
    for (int W = 1; W <= kMaxWarps; ++W) {
        const unsigned threads = threads_for(W);
        std::vector<double> x(threads * kN);
        for (double& v : x) v = static_cast<double>(static_cast<int>(random() % 2001) - 1000);
        Buffer<double> in(x), known(threads * 3), stored(kTokensOfOneWarp * kN);
        launch(stream(), "sum_all", sum_all, Grid{1, threads}, W, in.at(), known.at(), stored.at());
        const std::vector<double> all = known.get(), rows = stored.get();
        double wrong = 0;  // numbers are whole: sums are exact
        for (unsigned t = 0; t < threads; ++t) {
            const unsigned first = W == 1 ? t / 32 * 32 : 0, size = W == 1 ? 32 : threads;
            const auto sum = [&](int i) {
                double s = 0;
                for (unsigned k = first; k < first + size; ++k) s += x[k * kN + unsigned(i)];
                return s;
            };
            wrong +=
                !(all[t * 3] == sum(0)) + !(all[t * 3 + 1] == sum(7)) + !(all[t * 3 + 2] == sum(0));
            if (t % (W == 1 ? 32 : threads) == 0)
                for (int i = 0; i < kN; ++i)
                    wrong += !(rows[(W == 1 ? t / 32 : 0) * kN + unsigned(i)] == sum(i));
        }
        report.add(Check{"sums over a token, W=" + std::to_string(W), wrong, 0});
    }
}

__global__ void round_to_bf16(int n, const float* in, Bf16* out, float* back) {
    const int first = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * kRun;
    if (first >= n) return;
    Run<Bf16> run;
    pack(in + first, run);  // two at once
    *reinterpret_cast<Run<Bf16>*>(out + first) = run;
    float x[kRun];
    unpack(run, x);
    for (int j = 0; j < kRun; ++j) {
        back[first + j] = x[j];
        if (Bf16(in[first + j]).bits != out[first + j].bits) back[first + j] = -1234567;
    }
}

void check_bf16(Report& report) {
    std::mt19937 random(2);
    std::vector<float> x;
    for (std::uint32_t high = 0; high < 1u << 16; ++high)  // every bf16, ties on both sides, random
        for (const std::uint32_t low : {0u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu,
                                        static_cast<std::uint32_t>(random() & 0xffffu)})
            x.push_back(std::bit_cast<float>(high << 16 | low));
    const int n = static_cast<int>(x.size());
    Buffer<float> in(x.size()), back(x.size());
    Buffer<Bf16> out(x.size());
    in.put_raw(x);
    launch(stream(), "round_to_bf16", round_to_bf16,
           Grid{static_cast<unsigned>((n / kRun + 255) / 256), 256}, n, in.at(), out.at(),
           back.at());
    const std::vector<Bf16> got = out.raw(0, x.size());
    const std::vector<float> again = back.raw(0, x.size());
    double wrong = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        const float a = Bf16(x[i]), b = got[i];
        wrong += x[i] != x[i] ? b == b
                              : !(a == b && std::signbit(a) == std::signbit(b)) || again[i] != b;
    }
    report.add(Check{"bf16: every number and tie as on the host", wrong, 0});
}

__global__ void draw(int n, const Philox* counters, std::uint32_t key0, std::uint32_t key1,
                     Philox* out) {
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n) out[i] = philox(counters[i], key0, key1);
}

void check_philox(Report& report) {
    std::mt19937 random(3);
    std::vector<std::uint32_t> words(4 * 4096);
    for (std::uint32_t& w : words) w = static_cast<std::uint32_t>(random());
    Buffer<std::uint32_t> in(words.size()), out(words.size());
    in.put_raw(words);
    launch(stream(), "draw", draw, Grid{16, 256}, 4096, reinterpret_cast<Philox*>(in.at()),
           0x12345678u, 0x9abcdef0u, reinterpret_cast<Philox*>(out.at()));
    const auto got = out.raw(0, words.size());
    const auto want = random123(words, 0x12345678u, 0x9abcdef0u);
    double wrong = 0;
    for (std::size_t i = 0; i < words.size(); ++i) wrong += got[i] != want[i];
    report.add(Check{"Philox4x32-10 as Random123 on the host", wrong, 0});
}

__global__ void multiply(bool b_by_ldmatrix, const Bf16* a /* (16, 16) */,
                         const Bf16* b /* (16, 8) */, float* d) {
    const int g = lane_id() / 4, t = lane_id() % 4;
    const auto two = [](Bf16 low, Bf16 high) { return low.bits | unsigned{high.bits} << 16; };
    const auto of_a = [&](int r, int c) { return two(a[r * 16 + c], a[r * 16 + c + 1]); };
    const auto of_b = [&](int r) { return two(b[r * 8 + g], b[(r + 1) * 8 + g]); };
    const unsigned fa[4] = {of_a(g, 2 * t), of_a(g + 8, 2 * t), of_a(g, 2 * t + 8),
                            of_a(g + 8, 2 * t + 8)};
    unsigned fb[2] = {of_b(2 * t), of_b(2 * t + 8)};
    float sum[4] = {};
    if (b_by_ldmatrix) {
        struct alignas(16) Rows {
            Bf16 x[16][8];
        };
        PLUMB_SHARED(Rows, rows);
        for (int i = lane_id(); i < 16 * 8; i += 32) rows.x[i / 8][i % 8] = b[i];
        __syncwarp();
        load_transposed(rows.x[lane_id() % 16], fb);
    }
    mma_16x8x16(sum, fa, fb);
    d[g * 8 + 2 * t] = sum[0], d[g * 8 + 2 * t + 1] = sum[1];
    d[(g + 8) * 8 + 2 * t] = sum[2], d[(g + 8) * 8 + 2 * t + 1] = sum[3];
}

void check_mma(Report& report) {
    std::mt19937_64 random(4);
    std::vector<double> a(256), b(128), want(128, 0.0);
    for (auto* m : {&a, &b})
        for (double& x : *m) x = static_cast<double>(static_cast<int>(random() % 17) - 8);
    for (std::size_t r = 0; r < 16; ++r)
        for (std::size_t c = 0; c < 8; ++c)
            for (std::size_t k = 0; k < 16; ++k) want[r * 8 + c] += a[r * 16 + k] * b[k * 8 + c];
    Buffer<Bf16> da(a), db(b);
    for (const bool by_ldmatrix : {false, true}) {
        Buffer<float> d(128);
        launch(stream(), "multiply", multiply, Grid{1, 32}, by_ldmatrix, da.at(), db.at(), d.at());
        report.add(Check{by_ldmatrix ? "ldmatrix.trans: a fragment of mma.m16n8k16"
                                     : "mma.m16n8k16: fragments as written down",
                         relative_error(d.get(), want), 0});
    }
}

// Rows 0..rows-1 of x (rows, C), each twice the one before it added: through a ring of 3.
template <class T, bool whole>
__global__ void through_ring(int rows, int C, int W, const T* x, T* out) {
    using Real = RealOf<T>;
    PLUMB_SHARED(GroupMemory<Real>, memory);
    const Group<Real> g(W, memory);
    const Place<whole> at(C, g);
    Ring<T, 1, 3, whole> ring(dynamic_shared(), at);
    int next = 0;
    const auto push = [&] {
        ring.push(x + (next < rows ? next : 0) * C, next < rows);
        ++next;
    };
    for (int i = 0; i < 3; ++i) push();
    for (int r = 0; r < rows; r += 2) {
        Row<Real, 1> a, b;
        ring.template wait<2>();
        ring.row(0, a);
        ring.row(1, b);
        ring.template pop<2>();
        push(), push();
        store(a, at, g.offset == 0, out + r * C);
        store(b, at, g.offset == 0 && r + 1 < rows, out + (r + 1) * C);
    }
    wait_for_groups<0>();
}

template <class T, bool whole>
void check_ring(Report& report, int C, const char* type) {
    constexpr int rows = 11;
    std::mt19937_64 random(5);
    std::vector<double> x(static_cast<std::size_t>(rows * C));
    for (double& v : x) v = static_cast<double>(random() % 256);
    Buffer<T> in(x), out(x.size());
    const int W = warps_for(C, 1);
    launch(stream(), "through_ring", through_ring<T, whole>,
           Grid{1, threads_for(W), ring_bytes<T, 1, 3>(threads_for(W))}, rows, C, W, in.at(),
           out.at());
    report.add(Check{std::string("rows through the ring, ") + type + " C=" + std::to_string(C),
                     relative_error(out.get(), x), 0});
}

}  // namespace

void check_primitives(Report& report) {
    check_sums(report);
    check_bf16(report);
    check_philox(report);
    check_mma(report);
    check_ring<Bf16, true>(report, 264, "bf16");
    check_ring<Bf16, false>(report, 7, "bf16");
    check_ring<double, true>(report, 1032, "double");
}

}  // namespace plumb::test
