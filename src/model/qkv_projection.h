// The packed projection of an attention, qkv (N, (H + 2 Hkv) D) = x W^T: one product, or, where
// queries, keys and values have inputs of their own, one of each part of W's rows (a product writes
// whole matrices: the parts are copied into their columns).
#pragma once

#include "model/sublayer.h"
#include "ops/columns.h"
#include "ops/linear.h"

namespace plumb {

template <class T>
class QkvProjection {
public:
    using Real = RealOf<T>;

    QkvProjection(Plan& plan, const std::string& name, const Param<Real>& w,
                  const AttentionShape& attn, const SublayerShape& shape)
        : attn_(attn) {
        if (shape.ways == 1) {
            products_.emplace_back(plan, name, w, shape.tokens());
            return;
        }
        part_ =
            plan.shared_scratch<T>("work.part", {{'N', shape.tokens()}, {'Q', attn.out_width()}});
        for (int i = 0; i < kMostWays; ++i)
            products_.emplace_back(plan, fmt::format("{}.{}", name, i),
                                   rows_of(w, attn.part_begin(i), attn.part_width(i)),
                                   shape.tokens());
    }

    void prepare(const Context& ctx) {
        for (Linear<T>& product : products_) product.prepare(ctx);
    }

    // Overwrites qkv.
    void forward(const Context& ctx, const Inputs<const T>& x, View<T> qkv) {
        if (products_.size() == 1) return products_.front().forward(ctx, x.front(), qkv);
        for (int i = 0; i < kMostWays; ++i) {
            products_[at(i)].forward(ctx, x[at(i)], part(ctx, i));
            put_columns<T>(ctx, part(ctx, i), attn_.part_begin(i), qkv);
        }
    }

    // dqkv and the same x -> dx, overwritten; the gradient of W +=, of the last product beside what
    // comes next: parts share their scratch.
    void backward(const Context& ctx, View<const T> dqkv, const Inputs<const T>& x,
                  const Inputs<T>& dx) {
        if (products_.size() == 1)
            return products_.front().backward_beside(ctx, dqkv, x.front(), dx.front());
        for (int i = 0; i < kMostWays; ++i) {
            take_columns<T>(ctx, dqkv, attn_.part_begin(i), part(ctx, i));
            if (i + 1 < kMostWays)
                products_[at(i)].backward(ctx, part(ctx, i), x[at(i)], dx[at(i)]);
            else
                products_[at(i)].backward_beside(ctx, part(ctx, i), x[at(i)], dx[at(i)]);
        }
    }

private:
    static std::size_t at(int i) { return static_cast<std::size_t>(i); }
    static Param<Real> rows_of(Param<Real> w, Index first, Index count) {
        const Index columns = w.shape.extent(1);
        w.offset += first * columns;
        w.shape = {{'O', count}, {'I', columns}};
        return w;
    }
    View<T> part(const Context& ctx, int i) const {
        View<T> x = ctx(part_);
        x.shape = {{'N', x.extent(0)}, {'Q', attn_.part_width(i)}};
        return x;
    }

    AttentionShape attn_;
    Tensor<T> part_;  // (N, H D): q, k or v alone
    std::vector<Linear<T>> products_;
};

}  // namespace plumb
