// Hyper-connections whose scalars are parameters, the same for every token, walked with the
// kernels of Streams; backward in one kernel, or by D in two, as with dots (there are none).
#include "gpu/kernel_checks.h"
#include "mixers/memories/stream_dots.cuh"

namespace plumb::test {
namespace {

using namespace plumb::gpu;

constexpr int kK = 4, kScalars = kK * (kK + 2), kSlabs = 2;

// Of site l for one token: c, A. The output adds the streams up.
std::vector<double> scalars(const Walk& ref, int l) {
    std::vector<double> all(size(kScalars), 0.0);
    const auto *alpha = ref.parameter(l, "alpha"), *beta = ref.parameter(l, "beta");
    for (int s = 0; s < kK; ++s) {
        all[size(s)] = alpha ? (*alpha)[size(s * (kK + 1))] : 1.0;
        if (!alpha) continue;
        all[size(mix_place<kK>(s, kK))] = (*beta)[size(s)];
        for (int k = 0; k < kK; ++k)
            all[size(mix_place<kK>(k, s))] = (*alpha)[size(s * (kK + 1) + 1 + k)];
    }
    return all;
}

template <class T>
class StreamsWalk {
public:
    using Real = RealOf<T>;

    StreamsWalk(const RowShape& s, bool by_d)
        : s_(s),
          by_d_(by_d),
          W_(warps_for(s.C, s.C % 8 ? 1 : s.V)),
          ref_(walk_reference("hyper", {"dynamic=false"}, s.L, s.N, s.C, 13, sizeof(T) == 2)),
          n_(size(s.N)),
          rows_(size(s.N) * size(s.C)),
          sites_(size(s.L + 1)) {}

    Compared run() {
        gain_.put(ref_.gain);
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

    const Real* scalars_of(int l) { return scalars_.at(size(l - 1) * kScalars * n_); }

    template <int V, bool whole>
    void forward(int l) {
        std::vector<double> lanes;
        for (const double c : scalars(ref_, l)) lanes.insert(lanes.end(), n_, c);
        scalars_.put(lanes, size(l - 1) * kScalars * n_);
        v_.put(ref_.v[size(l - 1)], size(l - 1) * rows_);
        const auto write = streams_write<T, kK, V, whole>;
        launch(stream(), "streams_write", write, resident_grid(write, s_.N, W_), s_.N, s_.C, W_,
               l == 1, streams(std::max(l - 1, 1)), v_.at(size(l - 1) * rows_),
               scalars_of(std::max(l - 1, 1)), streams(l), moments_.at());
        add_moments(l);
        const auto read = streams_read<T, kK, V, whole>;
        launch(stream(), "streams_read", read, resident_grid(read, s_.N, W_), s_.N, s_.C, W_,
               streams(l), scalars_of(l), norm(l));
        out_.add("xhat", xhat_.get(size(l - 1) * rows_, rows_), ref_.xhat[size(l)]);
    }
    // Of the streams as they were stored.
    void add_moments(int l) {
        const std::vector<double> x = x_.get(size(l - 1) * kK * rows_, kK * rows_);
        std::vector<double> want(2 * kK * n_, 0.0);
        for (std::size_t i = 0; i < x.size(); ++i) {
            const std::size_t row = i / size(s_.C), at = row % kK * 2 * n_ + row / kK;
            want[at] += x[i], want[at + n_] += x[i] * x[i];
        }
        out_.add("moments", moments_.get(), want);
    }
    template <int V, bool whole>
    void backward(int l) {
        dx_.put(ref_.dx[size(l)]);
        const auto kernel = streams_backward<T, kK, V, kSlabs, whole, true>;
        const Grid grid =
            resident_grid(kernel, s_.N, W_, ring_bytes<T, 2 * kK + 1, kSlabs>(threads_for(W_)));
        Buffer<Real> dgain(grid.blocks * size(s_.C)), dscalars(size(kScalars) * n_);
        launch(stream(), "streams_backward", kernel, grid, s_.N, s_.C, W_, l > s_.L, streams(l),
               v_.at(size(std::min(l, s_.L)) * rows_), scalars_of(l),
               l > 1 ? scalars_of(l - 1) : nullptr, dstreams_.at(),
               by_d_ ? nullptr : dstreams_.at(), dv_.at(), dscalars.at(), dgain.at(), norm(l));
        if (by_d_) of_d<whole>(l);
        out_.add("dgain", column_sums(dgain.get(), s_.C), ref_.dgain[size(l)]);
        out_.add("dv", dv_.get(), ref_.dv[size(l - 1)]);
        if (l <= s_.L) add_gradients(l, dscalars.get());
    }
    template <bool whole>
    void of_d(int l) {
        StreamVectors none{};
        none.streams = kK;
        std::fill_n(none.square, kMaxStreams, -1), std::fill_n(none.sum, kMaxStreams, -1);
        launch(stream(), "dots_backward", dots_backward<T, kK, whole>,
               dots_backward_grid<T, kK>(s_.N, s_.C), s_.N, s_.C, l > s_.L, none, nullptr, nullptr,
               scalars_of(l), l > 1 ? scalars_of(l - 1) : nullptr, streams(l), dstreams_.at(),
               dv_.at());
    }
    void add_gradients(int l, const std::vector<double>& d) {
        std::vector<double> dalpha(size(kK * (kK + 1)), 0.0), dbeta(size(kK), 0.0);
        const auto sum = [&](int i) {
            double all = 0;
            for (std::size_t n = 0; n < n_; ++n) all += d[size(i) * n_ + n];
            return all;
        };
        for (int s = 0; s < kK; ++s) {
            dalpha[size(s * (kK + 1))] = sum(s);
            dbeta[size(s)] = sum(mix_place<kK>(s, kK));
            for (int k = 0; k < kK; ++k)
                dalpha[size(s * (kK + 1) + 1 + k)] = sum(mix_place<kK>(k, s));
        }
        out_.add("dalpha", dalpha, *ref_.gradient(l, "alpha"));
        out_.add("dbeta", dbeta, *ref_.gradient(l, "beta"));
    }

    RowShape s_;
    bool by_d_;
    int W_;
    Walk ref_;
    std::size_t n_, rows_, sites_;
    Buffer<T> x_{sites_ * kK * rows_}, v_{sites_ * rows_}, xhat_{sites_ * rows_}, normed_{rows_},
        dx_{rows_}, dstreams_{kK * rows_}, dv_{rows_};
    Buffer<Real> gain_{size(s_.C)}, rstd_{sites_ * n_}, scalars_{sites_ * kScalars * n_},
        moments_{2 * kK * n_};
    Compared out_;
};

template <class T, bool by_d>
Compared walk_hyper(const RowShape& s) {
    return StreamsWalk<T>(s, by_d).run();
}
template <class T>
void check_hyper(Report& report, const RowShape& s) {
    check_runs<T>(report, "hyper", s, walk_hyper<T, false>);
    check_runs<T>(report, "hyper by D", s, walk_hyper<T, true>);
}

}  // namespace

void check_streams(Report& report) {
    for (const RowShape& s : kShapes) {
        check_hyper<double>(report, s);
        check_hyper<float>(report, s);
        check_hyper<Bf16>(report, s);
    }
}

}  // namespace plumb::test
