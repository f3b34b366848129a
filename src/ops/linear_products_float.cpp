#include "ops/linear_products.h"

#include "ops/matmul.h"
#include "ops/slices.h"

#include <vector>

namespace plumb {
namespace {

// Numbers of one thread between two products; it grows on first use.
float* buffer(std::vector<float>& numbers, Index count) {
    if (std::ssize(numbers) < count) numbers.resize(static_cast<std::size_t>(count));
    return numbers.data();
}
thread_local std::vector<float> left, right, result;

// Rows [0, rows) x columns [0, cols) of a matrix with `stride` numbers a row.
const float* widened(std::vector<float>& into, const Bf16* from, Index rows, Index cols,
                     Index stride) {
    float* to = buffer(into, rows * cols);
    for (Index i = 0; i < rows; ++i)
        for (Index j = 0; j < cols; ++j) to[i * cols + j] = from[i * stride + j];
    return to;
}

class WideningProducts final : public LinearProducts<Bf16> {
public:
    explicit WideningProducts(const LinearShape& shape) : out_(shape.out), in_(shape.in) {}

    void declare(Plan& plan, const std::string& name) override {
        w_ = plan.saved<float>(name + ".rounded", {{'O', out_}, {'I', in_}});
    }

    void pack(const Context& ctx, const float* w) override {
        float* rounded = ctx(w_).data;
        for_slices(ctx, out_, slice_size(out_, 1), [&](Index begin, Index end) {
            for (Index i = begin * in_; i < end * in_; ++i) rounded[i] = Bf16(w[i]);
            return true;
        });
    }

    void forward(const Context& ctx, Index n, const Bf16* x, Bf16* y) override {
        product(ctx, Op::transpose, n, out_, in_, x, y);
    }
    void forward_sums(const Context& ctx, Index n, const Bf16* x, float* y) override {
        product(ctx, Op::transpose, n, out_, in_, x, y);
    }
    void backward_input(const Context& ctx, Index n, const Bf16* dy, Bf16* dx) override {
        product(ctx, Op::none, n, in_, out_, dy, dx);
    }

    void backward_weight(const Context& ctx, Index n, const Bf16* dy, const Bf16* x,
                         float* dw) override {
        for_slices(ctx, out_, slice_size(out_, 16), [&](Index begin, Index end) {
            const Index rows = end - begin;
            for (Index first = 0; first < n; first += kTokens) {
                const Index k = std::min(kTokens, n - first);
                const float* a = widened(left, dy + first * out_ + begin, k, rows, out_);
                const float* b = widened(right, x + first * in_, k, in_, in_);
                gemm({}, Op::transpose, Op::none, rows, in_, k, 1.0f, a, rows, b, in_, 1.0f,
                     dw + begin * in_, in_);
            }
            return true;
        });
    }

private:
    static constexpr Index kTokens = 256;  // widened at a time

    // c (n, cols) = a (n, k) times W or its transpose.
    template <class C>
    void product(const Context& ctx, Op op_w, Index n, Index cols, Index k, const Bf16* a, C* c) {
        const float* w = ctx(w_).data;
        for_slices(ctx, n, std::min(kTokens, slice_size(n, 1)), [&](Index begin, Index end) {
            const Index rows = end - begin;
            float* sum = buffer(result, rows * cols);
            gemm({}, Op::none, op_w, rows, cols, k, 1.0f, widened(left, a + begin * k, rows, k, k),
                 k, w, in_, 0.0f, sum, cols);
            for (Index i = 0; i < rows * cols; ++i) c[begin * cols + i] = C(sum[i]);
            return true;
        });
    }

    Index out_, in_;
    Tensor<float> w_;  // (Out, In), rounded to bf16
};

}  // namespace

std::unique_ptr<LinearProducts<Bf16>> widening_products(const LinearShape& shape) {
    return std::make_unique<WideningProducts>(shape);
}

}  // namespace plumb
