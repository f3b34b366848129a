// Hyper-connections whose coefficients are parameters, the same for every token, walked with the
// kernels of Streams.
#include "gpu/kernel_checks.h"
#include "mixers/memories/streams.cuh"

namespace plumb::test {
namespace {

using namespace plumb::gpu;

constexpr int kK = 4, kCoefficients = kK * (kK + 2), kSlabs = 2;

std::size_t size(int n) { return static_cast<std::size_t>(n); }

// Of site l for one token: pre, post, res. The output adds the streams up.
std::vector<double> coefficients(const Walk& ref, int l) {
    std::vector<double> all(size(kCoefficients), 0.0);
    const auto *alpha = ref.parameter(l, "alpha"), *beta = ref.parameter(l, "beta");
    for (int s = 0; s < kK; ++s) {
        all[size(s)] = alpha ? (*alpha)[size(s * (kK + 1))] : 1.0;
        if (!alpha) continue;
        all[size(kK + s)] = (*beta)[size(s)];
        for (int k = 0; k < kK; ++k)
            all[size(2 * kK + s * kK + k)] = (*alpha)[size(s * (kK + 1) + 1 + k)];
    }
    return all;
}

template <class T>
class StreamsWalk {
public:
    using Real = RealOf<T>;

    explicit StreamsWalk(const RowShape& s)
        : s_(s),
          W_(warps_for(s.C, s.C % 8 ? 1 : s.V)),
          ref_(walk_reference("hyper", {"dynamic=false"}, s.L, s.N, s.C, 13, sizeof(T) == 2)),
          n_(size(s.N)),
          rows_(size(s.N) * size(s.C)),
          sites_(size(s.L + 1)) {}

    Compared run() {
        gain_.put(ref_.gain);
        std::vector<double> first;  // X_1: v_0 in every stream
        for (std::size_t n = 0; n < n_; ++n)
            for (int k = 0; k < kK; ++k)
                first.insert(first.end(), ref_.v[0].begin() + static_cast<long>(n) * s_.C,
                             ref_.v[0].begin() + static_cast<long>(n + 1) * s_.C);
        x_.put(first);
        with_runs(s_, [&](auto V, auto whole) {
            for (int l = 1; l <= s_.L + 1; ++l) forward<V.value, whole.value>(l);
            for (int l = s_.L + 1; l >= 1; --l) backward<V.value, whole.value>(l);
        });
        return std::move(out_);
    }

private:
    NormArgs<T> norm(int l) {
        return {xhat_.at(size(l - 1) * rows_),
                rstd_.at(size(l - 1) * n_),
                gain_,
                normed_,
                dx_,
                Real(ref_.eps)};
    }
    T* streams(int l) { return x_.at(size(l - 1) * kK * rows_); }

    template <int V, bool whole>
    void forward(int l) {
        std::vector<double> lanes;
        for (const double c : coefficients(ref_, l)) lanes.insert(lanes.end(), n_, c);
        coef_.put(lanes, size(l - 1) * kCoefficients * n_);
        const Real* coef = coef_.at(size(l - 1) * kCoefficients * n_);
        const auto read = streams_read<T, kK, V, whole>;
        launch(stream(), "streams_read", read, resident_grid(read, s_.N, W_), s_.N, s_.C, W_,
               streams(l), coef, norm(l));
        out_.add("xhat", xhat_.get(size(l - 1) * rows_, rows_), ref_.xhat[size(l)]);
        if (l > s_.L) return;
        v_.put(ref_.v[size(l)], size(l) * rows_);
        const auto write = streams_write<T, kK, V, whole>;
        launch(stream(), "streams_write", write, resident_grid(write, s_.N, W_), s_.N, s_.C, W_,
               streams(l), v_.at(size(l) * rows_), coef, streams(l + 1));
    }
    template <int V, bool whole>
    void backward(int l) {
        dx_.put(ref_.dx[size(l)]);
        const auto kernel = streams_backward<T, kK, V, kSlabs, whole, true>;
        const Grid grid =
            resident_grid(kernel, s_.N, W_, ring_bytes<T, 2 * kK + 1, kSlabs>(threads_for(W_)));
        Buffer<Real> dgain(grid.blocks * size(s_.C)), dcoef(size(kCoefficients) * n_);
        launch(stream(), "streams_backward", kernel, grid, s_.N, s_.C, W_, l > s_.L, streams(l),
               v_.at(size(std::min(l, s_.L)) * rows_), coef_.at(size(l - 1) * kCoefficients * n_),
               dstreams_.at(), dstreams_.at(), dv_.at(), dcoef.at(), dgain.at(), norm(l));
        out_.add("dgain", column_sums(dgain.get(), s_.C), ref_.dgain[size(l)]);
        if (l > s_.L) return;
        out_.add("dv", dv_.get(), ref_.dv[size(l)]);
        const std::vector<double> d = dcoef.get();
        std::vector<double> dalpha(size(kK * (kK + 1)), 0.0), dbeta(size(kK), 0.0);
        for (int i = 0; i < kCoefficients; ++i)
            for (std::size_t n = 0; n < n_; ++n) {
                const double x = d[size(i) * n_ + n];
                const int r = i - 2 * kK;
                if (i < kK)
                    dalpha[size(i * (kK + 1))] += x;
                else if (i < 2 * kK)
                    dbeta[size(i - kK)] += x;
                else
                    dalpha[size(r / kK * (kK + 1) + 1 + r % kK)] += x;
            }
        out_.add("dalpha", dalpha, *ref_.gradient(l, "alpha"));
        out_.add("dbeta", dbeta, *ref_.gradient(l, "beta"));
        if (l > 1) return;
        std::vector<double> d0(rows_, 0.0);
        const std::vector<double> dx = dstreams_.get();
        for (std::size_t i = 0; i < dx.size(); ++i)
            d0[i / (size(kK) * size(s_.C)) * size(s_.C) + i % size(s_.C)] += dx[i];
        out_.add("dv", d0, ref_.dv[0]);
    }

    RowShape s_;
    int W_;
    Walk ref_;
    std::size_t n_, rows_, sites_;
    Buffer<T> x_{sites_ * kK * rows_}, v_{sites_ * rows_}, xhat_{sites_ * rows_}, normed_{rows_},
        dx_{rows_}, dstreams_{kK * rows_}, dv_{rows_};
    Buffer<Real> gain_{size(s_.C)}, rstd_{sites_ * n_}, coef_{sites_ * kCoefficients * n_};
    Compared out_;
};

template <class T>
Compared walk_hyper(const RowShape& s) {
    return StreamsWalk<T>(s).run();
}

}  // namespace

void check_streams(Report& report) {
    for (const RowShape& s : kShapes) {
        check_runs<double>(report, "hyper", s, walk_hyper<double>);
        check_runs<float>(report, "hyper", s, walk_hyper<float>);
        check_runs<Bf16>(report, "hyper", s, walk_hyper<Bf16>);
    }
}

}  // namespace plumb::test
