// Reference: any rule as a depth mixer, in double, one token at a time, with nothing fused and
// nothing saved on: the definition of each mixer that the fast passes are held against. Backward is
// the mirror of forward; the rule's own part of it comes from dual numbers (dual.h), which share
// nothing with the transposes that train.
//
//     read(l)            u = dots(X);  c = rule;  h = c X, of each way
//     write(l)           w = dots([X; v]);  A = rule;  X' = A [X; v]
//     write_backward(l)  dIn = A^T dX' + dots^T dw,  dw, du, dp from dA = <dX', In>
//     read_backward(l)   dX += c^T D + dots^T du,    du, dp from dc = <X, D>
#pragma once

#include "mixers/depth_mixer.h"
#include "mixers/site_params.h"

namespace plumb {

class Reference final : public DepthMixer<double> {
public:
    explicit Reference(RulePtr rule);

    Index stream_width() const override { return rule_->stream_rows() * shape().channels; }
    // Newest rows of X_{l+1}.
    void stream(const Context& ctx, int l, View<double> out) const override;
    Index matrix_channels() const override { return rule_->groups(); }
    int ways(int l) const override { return rule_->ways(l); }

protected:
    void do_declare(Plan& plan, ParamStore<double>& params) override;
    View<double> do_slot(const Context& ctx, int l) const override;
    void do_begin(const Context& ctx) override;
    void do_read_ways(const Context& ctx, int l, PreNorms norms) override;
    void do_write(const Context& ctx, int l) override;
    void do_read_backward_ways(const Context& ctx, int l, PreNorms norms) override;
    void do_read(const Context& ctx, int l, const PreNorm<double>& norm) override {
        do_read_ways(ctx, l, one(norm));
    }
    void do_read_backward(const Context& ctx, int l, const PreNorm<double>& norm) override {
        do_read_backward_ways(ctx, l, one(norm));
    }
    View<const double> do_write_backward(const Context& ctx, int l) override;
    View<const double> do_begin_backward(const Context& ctx) override;
    OfToken do_matrices(const Context& ctx) const override;
    MovedNumbers moves(DepthCall, int) const override { return {}; }  // a definition, not a pass

private:
    using Numbers = std::vector<double>;

    // Of site l = 1..L+1, the parameters.
    struct Site {
        SiteParams<double> params;
        Dots read, write;
    };
    // Of site l and one token: what forward leaves and backward adds up.
    struct Token {
        Numbers in;          // [X_l; v_l] (rows + 1, C)
        Numbers u, c, w, a;  // as in rule.h
        Numbers du, dx;      // dLoss/du so far; (rows, C) dLoss/dX_l
    };
    // The site's numbers, vectors and matrices, one behind the other: values, or gradients.
    struct Gathered {
        Numbers numbers;
        std::vector<double*> vectors, matrices;
    };

    std::size_t width() const { return static_cast<std::size_t>(shape().channels); }
    // What a pass leaves: of sites 1..L+1, token by token.
    using Tokens = std::vector<Token>;

    const Site& site(int l) const { return sites_[static_cast<std::size_t>(l - 1)]; }
    Token& token(const Context& ctx, int l, Index n) const {
        return ctx(tokens_)[static_cast<std::size_t>((l - 1) * shape().tokens + n)];
    }
    Gathered gather(const Context& ctx, int l, bool gradients) const;
    void add_numbers(const Context& ctx, int l, const Numbers& gradient) const;

    Numbers operand(const Operand& x, const Numbers& rows, const Gathered& p) const;
    void operand_backward(const Operand& x, const Numbers& d, const Numbers& rows,
                          const Gathered& p, Gathered& dp, Numbers& drows) const;
    Numbers dots(const Dots& dots, const Numbers& rows, const Gathered& p) const;
    void dots_backward(const Dots& dots, const Numbers& d, const Numbers& rows, const Gathered& p,
                       Gathered& dp, Numbers& drows) const;

    // dLoss/d(u, w, numbers), one behind the other, where dLoss/dout is of what run makes of them.
    template <class Run>
    static Numbers pull(std::initializer_list<const Numbers*> inputs, const Numbers& dout,
                        Run&& run);

    RulePtr rule_;
    std::vector<Site> sites_;
    FrameState<Tokens> tokens_;
    std::vector<Tensor<double>> v_;  // v_0..v_L (N, C)
    Tensor<double> dv_;              // (N, C)
};

}  // namespace plumb
