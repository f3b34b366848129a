// MUDDFormer (Xiao et al. 2025, arXiv:2502.12170): DenseFormer's averages with weights from the
// token, one average for each way in which the next transformer block reads. With X_0 = v_0 and X_k
// the output of block k:
//
//     Xbar_c = sum_{j<=k} (A_c[j] + b_c[j]) X_j     c = q, k, v, r
//     A = W2 gelu(W1 RMSNorm(X_k))                  of all c
//     X_{k+1} = Xbar_r + v_attn + v_mlp
//
// Attention makes its queries, keys and values from the first three, each behind a norm of its own;
// the MLP reads Xbar_r + v_attn. The first block reads v_0 in all ways, the output reads r alone. b
// starts one-hot on block k, W2 at 0: the standard network. dynamic=false: A_c = 0. The residual's
// average is number kMostWays, after the three reads. Left out: MLP widths that differ by depth,
// norms before and after an average. In a block of other sublayers behind its attention these read
// as the MLP does.
//
// Rows: X_0 .. X_k; while the MLP of block k+1 reads, Xbar_r + v_attn behind them.
#include "mixers/mixers.h"
#include "mixers/plain.h"

#include <array>

namespace plumb {
namespace {

// gelu(x) as an MLP has it (ops/activation.cpp).
template <class N>
N gelu(const N& x) {
    using std::tanh;
    return N(0.5) * x * (N(1) + tanh(N(0.7978845608028654) * x * (N(1) + N(0.044715) * x * x)));
}

class MuddRule final : public RuleOf<MuddRule> {
public:
    MuddRule(const MixerConfig& config, const MixerShape& shape)
        : RuleOf(shape),
          dynamic_(config.flag("dynamic")),
          hidden_(static_cast<int>(config.integer("hidden"))) {
        if (layout().kind(1) != "attn")
            throw UsageError(fmt::format(
                "mixer.name=mudd averages for the queries, keys and values of the attention that "
                "begins a block, and model.pattern begins one with {}; begin it with attn, as in "
                "model.pattern=attn,mlp",
                layout().kind(1)));
    }

    int rows(int l) const override { return done(l) + 1 + (averages(l) ? 0 : 1); }
    int ways(int l) const override { return averages(l) && !at_output(l) ? kMostWays : 1; }
    std::vector<RuleParam> params(int l) const override {
        using Is = RuleParam::Is;
        const int k = done(l), n = k + 1, all_ways = n_averages(l);
        if (k == 0 || !averages(l)) return {};
        std::vector<double> newest;  // one-hot on block k, way by way
        for (int i = 0; i < all_ways * n; ++i) newest.push_back(i % n == k ? 1 : 0);
        const std::string block = Layout::block_name(k - 1);
        std::vector<RuleParam> all{
            {Is::numbers, "bias", {{'W', all_ways}, {'S', n}}, Init::values(newest), block}};
        if (!dynamic_) return all;
        const double spread = 1 / std::sqrt(static_cast<double>(shape().channels));
        all.push_back({Is::vectors,
                       "in_proj",
                       {{'H', hidden(l)}, {'C', shape().channels}},
                       Init::normal(spread),
                       block});
        all.push_back({Is::numbers,
                       "out_proj",
                       {{'O', all_ways * n}, {'H', hidden(l)}},
                       Init::constant(0.0),
                       block});
        return all;
    }
    Dots read_dots(int l) const override {  // the square of X_k, then W1 X_k
        const int k = done(l);
        if (!dynamic_ || k == 0 || !averages(l)) return {};
        Dots all{{Operand::row(k), Operand::row(k)}};
        for (int i = 0; i < hidden(l); ++i) all.push_back({Operand::row(k), Operand::vector(i)});
        return all;
    }
    template <class N>
    void c(int l, const N* u, const N* p, N* c) const {
        if (averages(l))
            average(l, 0, ways(l), u, p, c, rows(l));
        else
            c[rows(l) - 1] = N(1);
    }
    template <class N>
    void A(int l, const N* u, const N*, const N* p, N* a) const {
        const int k = done(l), v = rows(l), ins = v + 1;
        for (int j = 0; j <= k; ++j) a[j * ins + j] = N(1);
        N* next = a + (k + 1) * ins;  // Xbar_r + v_attn, or X_{k+1}
        if (averages(l))
            average(l, kMostWays, 1, u, p, next, ins);
        else
            next[v - 1] = N(1);
        next[v] = N(1);
    }

private:
    bool at_output(int l) const { return l > sublayers(); }
    // Inside a block a read is a row.
    bool averages(int l) const { return at_output(l) || layout().begins_block(l); }
    int done(int l) const { return layout().block(l); }
    int n_averages(int l) const { return at_output(l) ? 1 : kMostWays + 1; }
    // The next multiple of 64 above the number of weights, of four ways for the output too.
    int hidden(int l) const { return hidden_ > 0 ? hidden_ : (4 * (done(l) + 1) / 64 + 1) * 64; }
    // Weights of X_0 .. X_k in the averages of `count` ways from `first` on, `stride` apart. p: b
    // (ways, k+1), then W2 (ways (k+1), hidden).
    template <class N>
    void average(int l, int first, int count, const N* u, const N* p, N* out, int stride) const {
        const int n = done(l) + 1;
        for (int w = 0; w < count; ++w)
            for (int j = 0; j < n; ++j)
                out[w * stride + j] = n == 1 ? N(1) : p[(first + w) * n + j];
        if (!dynamic_ || n == 1) return;
        const N scale = rstd(u[0]);
        const N* w2 = p + (n_averages(l) + first * hidden(l)) * n;
        std::array<N, kUnits> y;
        for (int begin = 0; begin < hidden(l); begin += kUnits) {
            const int units = std::min(kUnits, hidden(l) - begin);
            for (int i = 0; i < units; ++i)
                y[static_cast<std::size_t>(i)] = gelu(scale * u[1 + begin + i]);
            for (int w = 0; w < count; ++w)
                for (int j = 0; j < n; ++j)
                    out[w * stride + j] +=
                        inner(units, w2 + (w * n + j) * hidden(l) + begin, y.data());
        }
    }

    static constexpr int kUnits = 64;  // hidden units at a time
    bool dynamic_;
    int hidden_;
};

}  // namespace

std::vector<MixerOption> mudd_options() {
    return {{"hidden", 0L,
             "units that make the weights of a block's averages from its output; 0: the next "
             "multiple of 64 above the number of weights",
             within(0, 1e6)},
            dynamic_option()};
}

MixerMakers mudd_mixer() { return mixer_on<Plain, MuddRule>(); }

}  // namespace plumb
