// Plain: any rule as a depth mixer, in the storage types that train. Nothing is fused across sites
// and a rule's backward comes from its program (scalar_program.h), so that a mixer runs as soon as
// it is written; the fused memories move fewer bytes where a mixer is worth it.
//
// A row is written once (plain_plan.h says which are) and read where it lies: outputs v_l in T,
// mixes in Real, since running sums do not bear the rounding of Bf16. Gradients of rows are Real
// and added to by every reader, from the last to the first.
//
//     read(l)            per tile: u = dots, c = program; of each way h = sum of c times rows, norm
//     write(l)           per tile: w = dots, A = program, new rows
//     write_backward(l)  per tile: gradients of A from those of the new rows; program; dots; dv_l
//     read_backward(l)   per tile: of each way D from the norm, gradients of c; program; dots
//
// Scalars of a token are double, a tile of kTile tokens side by side (lanes.h): there are few. They
// are kept, as far as they are not constant. Numbers moved per token and site that reads S rows:
// forward S C, backward 3 S C (rows, and their gradients read and written).
//
// On a GPU (plain.cu) the same passes go over all tokens one after the other, each a kernel: dots,
// program, mix. There scalars are Real, number by number, those of all tokens side by side; what
// the kernels loop over is copied to its memory when a first frame begins (plain_tables.h).
#pragma once

#include "core/dispatch.h"
#include "mixers/depth_mixer.h"
#include "mixers/plain_tables.h"
#include "mixers/site_params.h"

#include <memory>

namespace plumb {

namespace gpu {
template <class T>
struct PlainRows;  // plain.cuh
template <class Real>
struct ScalarMemory;  // scalar_program.cuh
}  // namespace gpu

template <class T>
class Plain final : public DepthMixer<T> {
public:
    using Real = RealOf<T>;
    using typename DepthMixer<T>::PreNorms;

    explicit Plain(RulePtr rule);

    Index stream_width() const override { return rule_->stream_rows() * channels(); }
    // Newest rows of X_{l+1}.
    void stream(const Context& ctx, int l, View<Real> out) const override;
    Index matrix_channels() const override { return rule_->groups(); }
    int ways(int l) const override { return rule_->ways(l); }

protected:
    void do_declare(Plan& plan, ParamStore<Real>& params) override;
    View<T> do_slot(const Context& ctx, int l) const override {
        return ctx(outputs_[static_cast<std::size_t>(l)]);
    }
    void do_begin(const Context& ctx) override;
    void do_read_ways(const Context& ctx, int l, PreNorms norms) override;
    void do_write(const Context& ctx, int l) override;
    void do_read_backward_ways(const Context& ctx, int l, PreNorms norms) override;
    void do_read(const Context& ctx, int l, const PreNorm<T>& norm) override {
        do_read_ways(ctx, l, this->one(norm));
    }
    void do_read_backward(const Context& ctx, int l, const PreNorm<T>& norm) override {
        do_read_backward_ways(ctx, l, this->one(norm));
    }
    View<const T> do_write_backward(const Context& ctx, int l) override;
    View<const T> do_begin_backward(const Context& ctx) override;
    typename DepthMixer<T>::OfToken do_matrices(const Context& ctx) const override;
    MovedNumbers moves(DepthCall call, int l) const override;

private:
    static constexpr bool kRounds = !std::is_same_v<T, Real>;
    using Cell = PlainPlan::Cell;
    using Mix = PlainPlan::Mix;
    using Lane = Lanes<double>;

    using Product = PlainProduct;
    // Scalars of all tokens that are kept.
    struct Scalars {
        Tensor<Lane> tiles;    // CPU: (tiles, numbers)
        Tensor<Real> numbers;  // GPU: (numbers, N)
    };

    struct Vector {
        int vector, gain;  // the site's vectors, multiplied; -1: ones
        bool operator==(const Vector&) const = default;
    };
    // y = diag(gain) W RMSNorm(row)
    struct Image {
        Cell cell = -1;  // the row; -1: no image
        int matrix = 0, gain = -1;
        bool operator==(const Image&) const = default;
    };
    // A site's read or its write.
    struct Half {
        const ScalarProgram* program = nullptr;
        std::vector<Product> products;
        Index begin = 0, end = 0;  // its dots among [u | w]
        Scalars weights;           // outputs of the program
    };
    struct Site {
        SiteParams<Real> params;
        std::vector<Vector> vectors;
        Image image;
        Half read, write;
        Scalars dots;               // [u | w]
        Tensor<Real> image_values;  // (N, C)
    };
    // With what the passes of the CPU do with it.
    struct Row : PlainRow<T> {
        Real* gradient(Index n) const {
            return this->d + n * this->step + n / kTokenChunk * this->d_step;
        }
        template <class F>
        void with(Index n, F&& f) const {
            if (this->stored)
                f(this->stored + n * this->step);
            else
                f(static_cast<const Real*>(this->real + n * this->step));
        }
    };
    // Of a frame.
    struct Pass {
        std::vector<Row> rows;
        std::vector<Lane> numbers;  // of the site at work
        std::shared_ptr<DeviceArray<Row>> device_rows;

        const Row& row(int i) const { return rows[static_cast<std::size_t>(i)]; }
    };

    int sublayers() const { return this->shape().sublayers(); }
    Index tokens() const { return this->shape().tokens; }
    Index channels() const { return this->shape().channels; }
    Site& site(int l) { return sites_[static_cast<std::size_t>(l - 1)]; }
    const Site& site(int l) const { return sites_[static_cast<std::size_t>(l - 1)]; }
    int image_row(int l) const { return plan_.n_cells() + static_cast<int>(most_vectors_) + l - 1; }
    template <class X>
    Real rms_scale(const X* x) const;  // 1 / rms(x), of a row
    static double lane(const Lane& x, Index n) { return x.data()[n % kTile]; }
    // The mixes of one way's read, a group each.
    std::span<const Mix> reads_of(int l, std::size_t way) const {
        const auto groups = static_cast<std::size_t>(rule_->groups());
        return std::span(plan_.site(l).reads).subspan(way * groups, groups);
    }

    void plan_half(int l, const ScalarProgram& program, const Dots& dots, Index first, Half& half);
    int row_of(int l, Operand x, int gain);
    Scalars declare_scalars(Plan& plan, const std::string& name, Index n) const;
    void declare_scratch(Plan& plan);
    Index vector_parts() const;
    void declare_gpu_scratch(Plan& plan, Index dots, Index weights, Index numbers);
    // Readies the pass for site l: its numbers, its vectors, its image.
    const Pass& open(const Context& ctx, int l) const;
    void add_parameters(const Context& ctx, int l) const;

    Real* matrix_of(const Context& ctx, int l, bool gradient = false) const {  // of the image
        return site(l).params.at(ctx, RuleParam::Is::matrix,
                                 site(l).image.matrix * channels() * channels(), gradient);
    }
    Real* image_gain(const Context& ctx, int l, bool gradient = false) const {
        const int gain = site(l).image.gain;
        return gain < 0 ? nullptr : site(l).params.vector(ctx, gain, channels(), gradient);
    }
    void make_normed(const Context& ctx, const Pass& pass, int l) const;
    void make_image(const Context& ctx, const Pass& pass, int l) const;
    void image_backward(const Context& ctx, const Pass& pass, int l) const;

    // Dots and weights of a half, then of each tile f(tile, weights).
    template <class F>
    void forward(const Context& ctx, const Pass& pass, int l, const Half& half, F&& f) const;
    // Of each tile f(tile, weights, their gradients to be overwritten); then those of what the
    // weights were made of. `first` of the two of a site.
    template <class F>
    void backward(const Context& ctx, const Pass& pass, int l, const Half& half, bool first,
                  F&& f) const;
    void dots_backward(const Pass& pass, const Half& half, Index n, const Lane* du) const;
    void apply(const Pass& pass, const Mix& mix, const Lane* weights, Index n, Real* out) const;
    void apply_backward(const Pass& pass, const Mix& mix, const Lane* weights, Index n,
                        const Real* dout, Lane* dweights) const;
    View<const T> output_gradient(const Context& ctx, int l) const;

    // The passes of the CPU.
    void read(Cpu, const Context& ctx, int l, PreNorms norms) const;
    void write(Cpu, const Context& ctx, int l) const;
    void read_backward(Cpu, const Context& ctx, int l, PreNorms norms) const;
    void write_backward(Cpu, const Context& ctx, int l) const;
    void round(Cpu, const Context& ctx, View<const Real> x, View<T> y) const;
    void stream(Cpu, const Context& ctx, int l, View<Real> out) const;

    // Those of a GPU, plain.cu.
    void read(Cuda, const Context& ctx, int l, PreNorms norms) const;
    void write(Cuda, const Context& ctx, int l) const;
    void read_backward(Cuda, const Context& ctx, int l, PreNorms norms) const;
    void write_backward(Cuda, const Context& ctx, int l) const;
    void round(Cuda, const Context& ctx, View<const Real> x, View<T> y) const;
    void stream(Cuda, const Context& ctx, int l, View<Real> out) const;

    void make_tables();
    PlainHalfTables half_tables(const Half& half, const std::vector<Mix>& mixes);
    const PlainSiteTables& tables(int l) const { return tables_[static_cast<std::size_t>(l - 1)]; }
    gpu::PlainRows<T> rows_on_gpu(const Context& ctx) const;
    gpu::ScalarMemory<Real> scalars_on_gpu(const Context& ctx, int l) const;
    void open_on_gpu(const Context& ctx, int l) const;
    void add_parameters_on_gpu(const Context& ctx, int l) const;
    void weigh(const Context& ctx, int l, const Half& half, const PlainHalfTables& tables) const;
    void weigh_backward(const Context& ctx, int l, const PlainHalfTables& tables, bool first) const;
    void make_normed_on_gpu(const Context& ctx, int l) const;
    void make_image_on_gpu(const Context& ctx, int l) const;
    void image_backward_on_gpu(const Context& ctx, int l) const;

    RulePtr rule_;
    PlainPlan plan_;
    std::vector<Site> sites_;  // index l - 1
    FrameState<Pass> pass_;
    std::vector<Tensor<T>> outputs_;               // v_l (N, C)
    std::vector<Tensor<Real>> mixes_, gradients_;  // of the cells (N, C)
    // CPU:
    Tensor<Lane> du_;          // (tiles, most dots), left by write_backward
    Tensor<Lane> dweights_;    // (n_chunks, most weights) of a tile
    Tensor<double> dnumbers_;  // (n_chunks, most numbers)
    // GPU, M tokens being N rounded up to whole warps:
    struct {
        Tensor<Real> du, dweights;   // (most dots, N), left by write_backward; (most weights, N)
        Tensor<Real> numbers;        // (most numbers) of the site at work
        Tensor<Real> dnumbers;       // (most numbers, M / 32)
        Tensor<Real> steps, dsteps;  // (most steps, M) of a program
        Tensor<Real> saved;          // (most that one saves, M)
        Tensor<Real> vector_sums;    // (most vectors, C)
    } gpu_;
    // Both, P parts of sums over tokens, one a chunk (CPU) or a block (GPU):
    Tensor<Real> dvectors_;                  // (P, most vectors C)
    Tensor<Real> row_;                       // (P, C)
    Tensor<Real> vectors_;                   // (vectors, C) of the site at work
    Tensor<Real> normed_, dimage_, matrix_;  // (N, C), (N, C), (C, C)
    Tensor<T> dv_;                           // (N, C)
    Index most_vectors_ = 0;
    DeviceCopies copies_;
    std::vector<PlainSiteTables> tables_;  // index l - 1; GPU
};

}  // namespace plumb
