// StreamsOnGpu: the memory of K streams (streams.h) on a GPU, in the passes of streams.cuh,
// stream_dots.cuh and stream_write_dots.cuh. The scalars of a rule are its program's
// (scalar_program.cuh), a thread a token.
//
//     read(l)            write l-1, of X_l <x, x>, <x, 1>, w x -> u;  c, A of l;  read, norm
//     read_backward(l)   norm, dc, dA;  du, dp;  dX_l, dv_{l-1};  dw
//
// dX is of type T: the CPU's is Real. Kept of a token and site: X_l, u, c, A.
//
// Bytes a token and site, d = 2 C in bf16, the norm's counted: forward (3 K + 3) d, backward (3 K +
// 4) d; of a rule with dots (6 K + 6) d, of which dw is K d. K = 4: 15 d and 16 d; 15 d and 30 d.
// Where dots are not taken by the pass that writes X_l (WriteDots; all of float), K d more forward.
#pragma once

#include "core/dispatch.h"
#include "mixers/depth_mixer.h"
#include "mixers/memories/stream_write_dots.h"
#include "mixers/plain_tables.h"

namespace plumb {

namespace gpu {
struct StreamVectors;  // stream_dots.cuh
template <class Real>
struct ScalarMemory;  // scalar_program.cuh
}  // namespace gpu

template <class T>
class StreamsOnGpu final : public DepthMixer<T> {
public:
    using Real = RealOf<T>;

    explicit StreamsOnGpu(RulePtr rule);
    // 2 or 4 streams, as wide as a block's threads hold.
    static bool carries(const Rule& rule);

    Index stream_width() const final { return streams_ * channels(); }
    void stream(const Context& ctx, int l, View<Real> out) const final;  // X_{l+1}

private:
    struct Site : StreamSite<Real> {
        Tensor<T> x;              // X_l (N, K, C)
        Tensor<Real> u, scalars;  // (numbers, N); scalars: c (K), A (K, K+1), at L+1 c alone
    };
    struct Tables {  // of a site, in the device's memory
        ScalarProgram::Tables program;
        const Index* numbers;  // where each is in the flat array of parameters
    };

    void do_declare(Plan& plan, ParamStore<Real>& params) final;
    View<T> do_slot(const Context& ctx, int l) const final {
        return ctx(v_[static_cast<std::size_t>(l)]);
    }
    void do_begin(const Context& ctx) final;
    void do_read(const Context& ctx, int l, const PreNorm<T>& norm) final;
    void do_write(const Context&, int) final {}  // v_l is written when l+1 reads
    void do_read_backward(const Context& ctx, int l, const PreNorm<T>& norm) final;
    View<const T> do_write_backward(const Context& ctx, int) final { return ctx(dv_); }
    View<const T> do_begin_backward(const Context& ctx) final { return ctx(dv_); }
    typename DepthMixer<T>::OfToken do_matrices(const Context& ctx) const final;
    MovedNumbers moves(DepthCall call, int l) const final;

    Index tokens() const { return this->shape().tokens; }
    Index channels() const { return this->shape().channels; }
    bool last(int l) const { return l > this->sublayers(); }
    int n_scalars(int l) const { return stream_scalars(*rule_, l); }
    Site& site(int l) { return sites_[static_cast<std::size_t>(l - 1)]; }
    const Site& site(int l) const { return sites_[static_cast<std::size_t>(l - 1)]; }
    WriteDots by_write(int l) const {
        return {site(l).dots, streams_, channels(), std::is_same_v<T, Bf16>};
    }
    // Rows that a site's dots are of, as long as its vectors; their number with room for whole
    // runs.
    Index rows(const StreamDots& dots) const { return tokens() * (dots.end_to_end ? 1 : streams_); }
    Index row_width(const StreamDots& dots) const {
        return channels() * (dots.end_to_end ? streams_ : 1);
    }
    Index padded_rows(const StreamDots& dots) const { return (rows(dots) + 7) / 8 * 8; }
    void declare_scratch(Plan& plan);
    const Tables& tables(int l) const { return tables_[static_cast<std::size_t>(l - 1)]; }

    // Passes: streams_on_gpu.cu; of the rows stream_rows.cu; write_with_dots stream_write_dots.cu.
    void read(Cuda, const Context& ctx, int l, const PreNorm<T>& norm) const;
    void read_backward(Cuda, const Context& ctx, int l, const PreNorm<T>& norm) const;
    gpu::StreamVectors vectors(int l) const;
    gpu::ScalarMemory<Real> scalar_memory(const Context& ctx, int l) const;
    void open(const Context& ctx, int l) const;
    void write_and_dot(const Context& ctx, int l) const;
    void write_rows(const Context& ctx, int l) const;
    void take_dots(const Context& ctx, int l) const;
    void write_with_dots(const Context& ctx, int l) const;
    void read_rows(const Context& ctx, int l, const PreNorm<T>& norm) const;
    void rows_backward(const Context& ctx, int l, const PreNorm<T>& norm) const;
    void scalars_backward(const Context& ctx, int l) const;
    void dots_backward(const Context& ctx, int l) const;
    void add_vectors(const Context& ctx, int l) const;

    RulePtr rule_;
    int streams_;
    std::vector<Site> sites_;             // index l - 1
    std::vector<Tensor<T>> v_;            // v_0.. (N, C)
    Tensor<T> dv_, dx_;                   // (N, C); (N, K, C): of X after a site, then of X at it
    Tensor<Real> moments_;                // (K, 2, N)
    Tensor<Real> numbers_, dnumbers_;     // p of the site at work; (numbers, warps)
    Tensor<Real> dscalars_, du_;          // (numbers, N)
    Tensor<Real> steps_, dsteps_, kept_;  // of a program (numbers, N rounded up to whole warps)
    Tensor<T> packed_, spread_;           // vectors; du of projections
    Tensor<Real> products_, totals_;      // of X and one of them; of a vector
    DeviceCopies copies_;
    std::vector<Tables> tables_;  // index l - 1
};

}  // namespace plumb
