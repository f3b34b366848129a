// X' and its dots of one pass (stream_write_dots.cuh): X' against the sums in double, the dots
// against those in double of the X' that was stored.
#include "gpu/kernel_checks.h"
#include "gpu/ops_reference.h"
#include "mixers/memories/stream_write_dots.cuh"
#include "mixers/plain_parameters.cuh"

namespace plumb::test {
namespace {

using namespace plumb::gpu;

template <int K, int tiles, bool ends>
struct WriteCase {
    long N;
    int C, m;
    bool first;
    StreamDots asked{};

    WriteCase(long tokens, int channels, int vectors, bool is_first)
        : N(tokens), C(channels), m(vectors), first(is_first) {
        asked.n = WriteDots::numbers(K, m, ends) + 1, asked.m = m, asked.end_to_end = ends;
        for (std::size_t k = 0; k < K; ++k) {  // the moments before their vectors; last <1, w_1>
            const int at = ends ? 0 : static_cast<int>(k) * (m + 2);
            if (!ends) asked.sum[k] = at;
            asked.square[k] = at + (ends ? 0 : 1), asked.projection[k] = asked.square[k] + 1;
        }
        asked.totals.push_back({asked.n - 1, 1});
    }
    std::size_t width() const { return size(C) * (ends ? K : 1); }
    StreamVectors vectors() const {
        StreamVectors s{};
        s.streams = K, s.m = m, s.width = static_cast<int>(width()), s.end_to_end = ends;
        std::copy_n(asked.square.begin(), K, s.square), std::copy_n(asked.sum.begin(), K, s.sum);
        std::copy_n(asked.projection.begin(), K, s.projection);
        std::fill(std::begin(s.total), std::end(s.total), -1);
        s.total[1] = asked.n - 1;
        for (int i = 0; i < m; ++i) s.at[i] = static_cast<long>(size(i) * width());
        return s;
    }
    Compared run() const {
        const WriteDots by(asked, K, C, true);
        const std::size_t n = size(N), c = size(C);
        const Numbers values = normal_numbers("vectors", size(m) * width()),
                      scalars = normal_numbers("scalars", size(K * (K + 2)) * n);
        Buffer<Bf16> x(normal_numbers("x", n * K * c)), v(normal_numbers("v", n * c)),
            made(n * K * c), packed(size(by.packed_numbers(asked, K)));
        Buffer<float> w(values), in(scalars), sums(size(by.sums(asked, K)) * n), totals(size(m)),
            u(size(asked.n) * n);
        launch(stream(), "pack_fragments", pack_fragments<Bf16>,
               {static_cast<unsigned>(8 * tiles), kRunThreads}, vectors(), C, tiles, w, packed,
               totals);
        launch(stream(), "streams_write_dots", streams_write_dots<K, tiles, ends>,
               write_dots_grid(N, by.slabs), N, C, m, first, x, v, in, packed, made, sums);
        launch(stream(), "sum_slabs", sum_slabs<float>, grid_of(WriteDots::numbers(K, m, ends) * N),
               vectors(), N, static_cast<int>(by.slabs), sums, totals, u);
        Compared out;
        out.add("x", made.get(), wanted(x.get(), v.get(), in.get()));
        // In the scale of the others, whose bound is bf16's.
        const double scale = TypeName<Bf16>::bound / kDotsBound;
        add_dots(out, scale, u.get(), made.get(), w.get());
        return out;
    }

private:
    // Two parts of bf16 are off by 2^-18 of a number at most; a dot is smaller than its products.
    static constexpr double kDotsBound = 0x1p-17;

    Numbers wanted(const Numbers& x, const Numbers& v, const Numbers& by) const {
        Numbers out(x.size());
        for (std::size_t i = 0; i < out.size(); ++i) {
            const std::size_t c = i % size(C), k = i / size(C) % K, n = i / size(C) / K;
            const auto a = [&](std::size_t s) { return by[(K + k * (K + 1) + s) * size(N) + n]; };
            out[i] = v[n * size(C) + c] * (first ? 1 : a(K));
            for (std::size_t s = 0; !first && s < K; ++s)
                out[i] += a(s) * x[(n * K + s) * size(C) + c];
        }
        return out;
    }
    void add_dots(Compared& out, double scale, const Numbers& u, const Numbers& x,
                  const Numbers& w) const {
        Numbers want(u.size(), 0.0);
        for (std::size_t i = 0; i < x.size(); ++i) {
            const std::size_t c = i % size(C), k = i / size(C) % K, n = i / size(C) / K;
            const auto add = [&](int place, double d) {
                if (place >= 0) want[size(place) * size(N) + n] += d;
            };
            add(asked.square[k], x[i] * x[i]), add(asked.sum[k], x[i]);
            for (int j = 0; j < m; ++j)
                add(asked.projection[k] + j,
                    x[i] * w[size(j) * width() + c + (ends ? k * size(C) : 0)]);
        }
        for (std::size_t i = 0; i < size(N) * width(); ++i)
            want[size(asked.n - 1) * size(N) + i / width()] += w[width() + i % width()];
        for (int j = 0; j < asked.n; ++j) {
            const auto is = [&](const StreamDots::Places& places) {
                return std::find(places.begin(), places.end(), j) != places.end();
            };
            Numbers got(u.begin() + j * N, u.begin() + (j + 1) * N),
                of(want.begin() + j * N, want.begin() + (j + 1) * N);
            for (std::size_t n = 0; n < size(N); ++n) got[n] = of[n] + scale * (got[n] - of[n]);
            out.add(is(asked.square) ? "<x, x>" : is(asked.sum) ? "<x, 1>" : "<x, w>", got, of);
        }
    }
};

template <int K, int tiles, bool ends>
void check_write(Report& report, int m) {
    const std::string name = "write and dots, K=" + std::to_string(K) + " m=" + std::to_string(m) +
                             (ends ? " end to end" : "");
    for (const auto& [N, C] : {std::pair{1L, 8}, {5L, 64}, {19L, 264}, {70L, 520}, {130L, 96}})
        for (const bool first : {false, true}) {
            const RowShape shape{first, static_cast<int>(N), C, 1};
            const WriteCase<K, tiles, ends> of(N, C, m, first);
            check_runs<Bf16>(report, name, shape, [&](const RowShape&) { return of.run(); });
        }
}

}  // namespace

void check_stream_dots(Report& report) {
    check_write<4, 3, true>(report, 24);
    check_write<4, 3, true>(report, 11);
    check_write<4, 4, true>(report, 32);
    check_write<4, 1, true>(report, 4);
    check_write<2, 1, true>(report, 8);
    check_write<4, 1, false>(report, 6);
    check_write<2, 1, false>(report, 4);
}

}  // namespace plumb::test
