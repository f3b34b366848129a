// Attention Residuals (arXiv:2603.15031): softmax attention over depth.
//
//     full  (Eq. 2-4)  h_l = sum_{i<l} p_i v_i,  p = softmax_i <w_l, RMSNorm(v_i; g_l)>
//     block (Eq. 5-6)  the same over v_0, sums of completed blocks and the running block's sum
//
// and the rows of the paper's Table 4: sigmoid weights, a window, heads, keys without a norm, a
// query from the newest output, learned constants in place of query and keys.
//
// Rows: the sources, oldest first; full is block size 1. Where a query wants the newest output and
// no source is it, that output is one more row.
#pragma once

#include "mixers/memories/sources.h"

namespace plumb {

struct AttnResOptions {
    enum class Query : std::uint8_t { learned, input, none };

    int block_size = 1;
    int window = 0;  // newest sources that are read beside the embedding; 0: all
    Query query = Query::learned;
    SourceKeys keys;
};

// Of attnres_block: mixer.block_size, or as many as make mixer.n_blocks blocks (8 where neither is
// set), rounded up; the last block may be smaller. attn_res.cpp. Throws UsageError where both are
// set, or one is larger than the number of sublayers.
int sublayers_a_block(const MixerConfig& config, int sublayers);

class AttnResRule final : public RuleOf<AttnResRule> {
public:
    // attn_res.cpp; throws UsageError.
    AttnResRule(const MixerConfig& config, const MixerShape& shape);

    const AttnResOptions& options() const { return options_; }

    int groups() const override { return options_.keys.heads; }
    int rows(int l) const override { return sources(l) + (keeps_newest() ? 1 : 0); }
    std::vector<RuleParam> params(int l) const override {
        using Is = RuleParam::Is;
        if (l == 1) return {};  // its only source is v_0
        if (options_.query == Query::none)
            return {{Is::numbers, "bias", {{'S', sources(l)}}, Init::constant(0.0)}};
        const Index c = shape().channels;
        std::vector<RuleParam> all{{Is::vectors, "query", {{'C', c}}, Init::constant(0.0)}};
        if (gain() >= 0) all.push_back({Is::vectors, "key_gain", {{'C', c}}, Init::constant(1.0)});
        if (options_.query == Query::input)
            all.push_back({Is::matrix, "query_proj", {{'O', c}, {'C', c}}, Init::constant(0.0)});
        return all;
    }
    Dots read_dots(int l) const override {  // of each source and head: n_dots() numbers
        Dots all;
        if (l == 1 || options_.query == Query::none) return all;
        for (int i = 0; i < sources(l); ++i)
            for (int h = 0; h < options_.keys.heads; ++h) {
                all.push_back(
                    {Operand::row(i), Operand::row(i), options_.keys.norm_by_head ? h : -1});
                all.push_back({Operand::row(i, gain()), Operand::vector(0), h});
                if (options_.query == Query::input)
                    all.push_back({Operand::row(i, gain()), Operand::image(rows(l) - 1), h});
            }
        return all;
    }
    template <class N>
    void c(int l, const N* u, const N* bias, N* c) const {
        for (int h = 0; h < options_.keys.heads; ++h, c += rows(l)) {
            c[0] = N(1);
            if (l == 1) continue;
            const int n = n_seen(l);
            for (int k = 0; k < n; ++k) c[k] = logit(seen(l, k), h, u, bias);
            weigh(n, c);
            for (int k = n;
                 k-- > 0;)  // from c[k] to c[seen(k)] >= k, backwards: none is overwritten
                if (const int i = seen(l, k); i != k) c[i] = c[k], c[k] = N(0);
        }
    }
    template <class N>
    void A(int l, const N*, const N*, const N*, N* a) const {
        const int v = rows(l), ins = v + 1;
        for (int h = 0; h < options_.keys.heads; ++h, a += rows(l + 1) * ins) {
            for (int i = 0; i < sources(l); ++i) a[i * ins + i] = N(1);
            a[(sources(l + 1) - 1) * ins + v] = N(1);  // a row of its own, or into the running sum
            if (keeps_newest()) a[(rows(l + 1) - 1) * ins + v] = N(1);
        }
    }

private:
    using Weights = SourceKeys::Weights;
    using Query = AttnResOptions::Query;

    // v_0 and the blocks begun before l, ceil((l - 1) / block size).
    int sources(int l) const { return 1 + (l - 2 + options_.block_size) / options_.block_size; }
    bool keeps_newest() const { return options_.query == Query::input && options_.block_size > 1; }
    int gain() const { return options_.keys.gain ? 1 : -1; }
    int n_dots() const { return options_.query == Query::input ? 3 : 2; }
    // Sources that l reads.
    int n_seen(int l) const {
        return options_.window == 0 ? sources(l) : std::min(sources(l), 1 + options_.window);
    }
    // The k-th source that l reads: the embedding, then the newest.
    int seen(int l, int k) const { return k == 0 ? 0 : sources(l) - n_seen(l) + k; }
    template <class N>
    N logit(int i, int h, const N* u, const N* bias) const {
        if (options_.query == Query::none) return bias[i];
        u += (i * options_.keys.heads + h) * n_dots();
        N s = u[1];
        if (options_.query == Query::input) s += u[2];
        if (!options_.keys.normed) return s;
        return s * rstd(options_.keys.norm_by_head ? u[0] * N(options_.keys.heads) : u[0]);
    }
    template <class N>
    void weigh(int n, N* s) const {
        if (options_.keys.weights == Weights::softmax) return softmax(n, s, s);
        N sum(0);
        for (int i = 0; i < n; ++i) sum += s[i] = sigmoid(s[i]);
        if (options_.keys.weights == Weights::sigmoid_norm)
            for (int i = 0; i < n; ++i) s[i] /= sum;
    }
    AttnResOptions options_;
};

}  // namespace plumb
