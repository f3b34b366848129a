// Plain: any rule as a depth mixer, in the storage types that train. Nothing is fused across sites
// and a rule's backward comes from the tape, so that a mixer runs as soon as it is written; the
// fused memories do the same faster where a mixer is worth it.
//
// A row is written once (plain_plan.h says which are) and read where it lies: outputs v_l in T,
// mixes in Real, since running sums do not bear the rounding of Bf16. Gradients of rows are Real
// and added to by every reader, from the last to the first.
//
//     read(l)            per token: u = dots, c = rule; of each way h = sum of c times rows, norm
//     write(l)           per token: w = dots, A = rule, new rows
//     write_backward(l)  per token: gradients of A from those of the new rows; tape; dots; dv_l
//     read_backward(l)   per token: of each way D from the norm, gradients of c; tape; dots
//
// Scalars of a token are double: there are few. Numbers moved per token and site that reads S rows:
// forward S C, backward 3 S C (rows, and their gradients read and written).
#pragma once

#include "mixers/depth_mixer.h"
#include "mixers/plain_plan.h"

namespace plumb {

template <class T>
class Plain final : public DepthMixer<T> {
public:
    using Real = RealOf<T>;
    using typename DepthMixer<T>::PreNorms;

    explicit Plain(RulePtr rule);

    Index stream_width() const override { return rule_->stream_rows() * channels(); }
    // Newest rows of X_{l+1}.
    void stream(const Context& ctx, int l, Index n, Real* out) const override;
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
    void do_depth_matrix(const Context& ctx, Index token, View<Real> m) const override {
        do_way_matrix(ctx, token, 0, m);
    }
    void do_way_matrix(const Context& ctx, Index token, int way, View<Real> m) const override;

private:
    static constexpr bool kRounds = !std::is_same_v<T, Real>;
    using Cell = PlainPlan::Cell;

    // One side of a dot product: a cell, or of the site a vector of parameters or an image.
    struct Side {
        enum class Is : std::uint8_t { cell, vector, image } is;
        int index;
    };
    struct Product {
        Side a, b;
        std::size_t to;      // the dot it adds to
        Index first, width;  // channels
    };
    struct Vector {
        int vector, gain;  // the site's vectors, multiplied; -1: ones
    };
    // y = diag(gain) W RMSNorm(row)
    struct Image {
        Cell cell;
        int matrix, gain;
        Tensor<Real> value;  // (N, C) of the last forward
    };
    struct Site {
        std::vector<Param<Real>> params;
        std::vector<Vector> vectors;
        std::vector<Image> images;
        std::vector<Product> reads, writes;
        Tensor<double> u, w;  // (N, dots) of the last forward
    };
    // A frame's memory and the parameters it runs with, found once: rows of C numbers.
    struct Pass {
        std::vector<T*> outputs;
        std::vector<Real*> mixes, gradients;
        struct Here {
            std::vector<Real*> vector, dvector, matrix, dmatrix;
            std::vector<View<Real>> numbers, dnumbers;
            std::vector<Real*> images;
            View<double> u, w;
        };
        std::vector<Here> sites;  // index l - 1
        std::vector<double> p;    // numbers of the site at work
        View<double> du, scalars;
        T* dv = nullptr;
        Real *rows = nullptr, *vectors = nullptr, *normed = nullptr, *dimage = nullptr,
             *matrix = nullptr;
    };
    // A chunk's own: scalars of a token, sums for parameters, a row.
    struct Bench {
        double *weights, *dweights, *du, *dw, *dnumbers;
        Real *row, *dvectors;
    };

    int sublayers() const { return this->shape().sublayers; }
    Index channels() const { return this->shape().channels; }
    Site& site(int l) { return sites_[static_cast<std::size_t>(l - 1)]; }
    const Site& site(int l) const { return sites_[static_cast<std::size_t>(l - 1)]; }
    // The mixes of one way's read, a group each.
    std::span<const PlainPlan::Mix> reads_of(int l, std::size_t way) const {
        const auto groups = static_cast<std::size_t>(rule_->groups());
        return std::span(plan_.site(l).reads).subspan(way * groups, groups);
    }
    using Here = typename Pass::Here;
    static const Here& here(const Pass& pass, int l) {
        return pass.sites[static_cast<std::size_t>(l - 1)];
    }
    Bench bench(const Pass& pass, Index chunk) const;

    void plan_products(int l, const Dots& dots, std::vector<Product>& products);
    Side side_of(int l, Operand x, int gain);
    void declare_scratch(Plan& plan);
    Pass blank_pass() const;
    void find_site(const Context& ctx, int l, Here& out) const;
    // Readies the pass for site l: its numbers, its vectors.
    Pass& open(const Context& ctx, int l) const;

    void make_images(const Context& ctx, const Pass& pass, int l) const;
    void normed(const Context& ctx, const Pass& pass, Cell cell) const;
    void gained_matrix(const Pass& pass, int l, const Image& image) const;
    void images_backward(const Context& ctx, const Pass& pass, int l) const;
    void add_parameters(const Pass& pass, int l) const;

    // f(row) of a cell, which is T or Real.
    template <class F>
    void with_row(const Pass& pass, Cell cell, Index n, F&& f) const {
        if (plan_.is_output(cell))
            f(static_cast<const T*>(pass.outputs[static_cast<std::size_t>(cell)] + n * channels()));
        else
            f(static_cast<const Real*>(mix_row(pass, cell, n)));
    }
    template <class F>
    void with_side(const Pass& pass, int l, const Side& side, Index n, F&& f) const;
    Real* side_gradient(const Pass& pass, const Side& side, Index n, const Bench& bench) const;
    Real* mix_row(const Pass& pass, Cell cell, Index n) const {
        return pass.mixes[static_cast<std::size_t>(cell - sublayers() - 1)] + n * channels();
    }
    Real* gradient(const Pass& pass, Cell cell, Index n) const {
        return pass.gradients[static_cast<std::size_t>(cell)] + n * channels();
    }
    void take_dots(const Pass& pass, int l, const std::vector<Product>& products, Index n,
                   double* out) const;
    void dots_backward(const Pass& pass, int l, const std::vector<Product>& products, Index n,
                       const double* d, const Bench& bench) const;
    void apply(const Pass& pass, const PlainPlan::Mix& mix, const double* weights, Index n,
               Real* out) const;
    void apply_backward(const Pass& pass, const PlainPlan::Mix& mix, const double* weights, Index n,
                        const Real* dout, double* dweights) const;
    View<const T> output_gradient(const Context& ctx, int l) const;

    RulePtr rule_;
    PlainPlan plan_;
    std::vector<Site> sites_;  // index l - 1
    FrameState<Pass> pass_;
    std::vector<Tensor<T>> outputs_;               // v_l (N, C)
    std::vector<Tensor<Real>> mixes_, gradients_;  // of the cells (N, C)
    Tensor<double> du_;                            // (N, most dots), left by write_backward
    Tensor<T> dv_;                                 // (N, C)
    Tensor<double> scalars_;                       // (n_chunks, scalars of Bench)
    Tensor<Real> rows_;                            // (n_chunks, 1 + vectors, C)
    Tensor<Real> vectors_;                         // (vectors, C) of the site at work
    Tensor<Real> normed_, dimage_, matrix_;        // (N, C), (N, C), (C, C)
    Index most_weights_ = 1, most_dots_ = 1, most_numbers_ = 1, most_vectors_ = 0;
};

}  // namespace plumb
