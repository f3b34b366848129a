// Rule: a depth mixer as an equation over scalars. Channels meet it in dot products alone.
//
// The state of a token is a few rows X of C channels: a running sum, all outputs so far, K streams.
// Sublayer l = 1..L reads and writes, the output (l = L+1) reads:
//
//     u   = dot products of rows of X_l with each other and with vectors of parameters
//     h_l = c(u, p) X_l                             what sublayer l reads; one row for each way
//     w   = dot products that the write wants too, over the rows of [X_l; v_l]
//     X_{l+1} = A(u, w, p) [X_l; v_l]
//
// with X_1 = v_0 in every row. A, c are scalars of a token, p the scalar parameters of site l. With
// G > 1 groups of channels (heads, gates per channel) each group has an A and a c of its own.
//
// A mixer writes the two functions once, templated on the kind of number, and says which dot
// products it wants. All else follows: the reference engine (reference.h) with the backward, where
// the functions run on numbers that carry derivatives (dual.h), and the depth-mixing matrix M
// (depth_mixer.h).
//
// A memory (memories/, plain.h) keeps the rows of all tokens and runs the walk of depth_mixer.h on
// them. It applies the rule, mostly as a list of operations that its text leaves behind
// (scalar_program.h), or writes it again where that is faster (keys of attnres, vector gates of
// highway), and is held against the reference engine either way.
#pragma once

#include "core/params.h"
#include "mixers/dual.h"
#include "mixers/mixer_shape.h"
#include "mixers/scalar_program.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

namespace plumb {

// Parameters of a site: numbers for the equation, or vectors of C channels for dot products, the
// rows of a tensor whose size is a multiple of C (a row of K*C numbers is K vectors).
struct RuleParam {
    enum class Is : std::uint8_t { numbers, vectors, matrix } is;
    std::string name;  // query
    Shape shape;
    Init init;
    std::string owner = "";  // whose it is, where not the site's: layer.3
};

// As site l declares it.
ParamSpec param_spec(const RuleParam& p, int l, const Layout& layout);
// How many numbers those of a kind have.
Index count(const std::vector<RuleParam>& params, RuleParam::Is is);

// One side of a dot product: a vector of C channels, of which `gain` (a vector of parameters)
// scales the channels, if given.
struct Operand {
    enum class Is : std::uint8_t {
        row,     // of X, then (where a write asks) v
        vector,  // of the site's parameters, counted through all tensors
        image,   // of a row: W row / rms(row), W a matrix parameter of the site
        ones
    } is;
    int index = 0;  // row, vector; the row of an image
    int gain = -1;
    int matrix = 0;  // of an image, counted through the site's matrices

    static Operand row(int i, int gain = -1) { return {Is::row, i, gain}; }
    static Operand vector(int i, int gain = -1) { return {Is::vector, i, gain}; }
    static Operand image(int row, int gain = -1) { return {Is::image, row, gain}; }
    static Operand ones() { return {Is::ones}; }
};

// <a, b> over all channels, or over those of one group. Of n > 1 operands side by side: the sum of
// <a, b>, <a + 1, b + 1>, ..., which is one dot product of rows laid end to end.
struct Dot {
    Operand a, b;
    int group = -1;
    int n = 1;

    Operand left(int i) const { return next(a, i); }
    Operand right(int i) const { return next(b, i); }

private:
    static Operand next(Operand x, int i) {
        x.index += i;
        return x;
    }
};
using Dots = std::vector<Dot>;

// Of any kind of number that a rule runs on. value: what there is of it to compare.
inline double value(double x) { return x; }
// Sum of a_i b_i.
template <class N>
N inner(int n, const N* a, const N* b) {
    N sum(0);
    for (int i = 0; i < n; ++i) sum += a[i] * b[i];
    return sum;
}
template <class N>
N sigmoid(const N& x) {
    using std::exp;
    return N(1) / (N(1) + exp(-x));
}
// p may be s.
template <class N>
void softmax(int n, const N* s, N* p) {
    using std::exp, std::max;
    auto most = value(s[0]);
    for (int i = 1; i < n; ++i) most = max(most, value(s[i]));
    N sum(0);
    for (int i = 0; i < n; ++i) sum += p[i] = exp(s[i] - N(most));
    const N scale = N(1) / sum;
    for (int i = 0; i < n; ++i) p[i] *= scale;
}

class Rule {
public:
    explicit Rule(const MixerShape& shape) : shape_(shape) {}
    virtual ~Rule() = default;

    const MixerShape& shape() const { return shape_; }
    const Layout& layout() const { return shape_.layout; }
    int sublayers() const { return shape_.sublayers(); }

    virtual int groups() const { return 1; }             // G, a divisor of C
    virtual int rows(int /*l*/) const { return 1; }      // of X_l, l = 1..L+1
    virtual int ways(int /*l*/) const { return 1; }      // reads of sublayer l
    virtual int stream_rows() const { return 1; }        // newest rows that are the running state
    virtual std::vector<RuleParam> params(int l) const;  // of site l = 1..L+1; default none
    virtual Dots read_dots(int l) const;                 // u; default none
    virtual Dots write_dots(int l) const;  // w: row number rows(l) is v_l; default none

    // u: read_dots(l), w: write_dots(l), p: all `numbers` of params(l), in their order. What there
    // is none of may be null.
    //
    // c (ways, G, rows(l)), zero before. As numbers, with derivatives, as operations.
    virtual void read(int l, const double* u, const double* p, double* c) const = 0;
    virtual void read(int l, const DualNumber* u, const DualNumber* p, DualNumber* c) const = 0;
    virtual void read(int l, const Traced* u, const Traced* p, Traced* c) const = 0;
    // A (G, rows(l+1), rows(l) + 1), zero before.
    virtual void write(int l, const double* u, const double* w, const double* p,
                       double* a) const = 0;
    virtual void write(int l, const DualNumber* u, const DualNumber* w, const DualNumber* p,
                       DualNumber* a) const = 0;
    virtual void write(int l, const Traced* u, const Traced* w, const Traced* p,
                       Traced* a) const = 0;

protected:
    // 1 / rms of a vector of C channels whose square is `square`.
    template <class N>
    N rstd(const N& square) const {
        using std::sqrt;
        return N(1) / sqrt(square / N(static_cast<double>(shape_.channels)) + N(shape_.norm_eps));
    }

private:
    MixerShape shape_;
};

// Rule of a class R that has
//     template <class N> void c(int l, const N* u, const N* p, N* c) const;
//     template <class N> void A(int l, const N* u, const N* w, const N* p, N* a) const;
// which must not branch on the numbers.
template <class R>
class RuleOf : public Rule {
public:
    using Rule::Rule;
    void read(int l, const double* u, const double* p, double* c) const final {
        self().c(l, u, p, c);
    }
    void read(int l, const DualNumber* u, const DualNumber* p, DualNumber* c) const final {
        self().c(l, u, p, c);
    }
    void read(int l, const Traced* u, const Traced* p, Traced* c) const final {
        self().c(l, u, p, c);
    }
    void write(int l, const double* u, const double* w, const double* p, double* a) const final {
        self().A(l, u, w, p, a);
    }
    void write(int l, const DualNumber* u, const DualNumber* w, const DualNumber* p,
               DualNumber* a) const final {
        self().A(l, u, w, p, a);
    }
    void write(int l, const Traced* u, const Traced* w, const Traced* p, Traced* a) const final {
        self().A(l, u, w, p, a);
    }

private:
    const R& self() const { return static_cast<const R&>(*this); }
};

using RulePtr = std::unique_ptr<Rule>;

}  // namespace plumb
