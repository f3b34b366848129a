// ConstantWeights: weights of reads that are the same for every token, since the rule makes them of
// its parameters alone: w (R, R), row l-1 of read l, column i of source i. Once a pass its program
// (scalar_program.h) makes them, once a pass it takes their gradients back to the parameters.
#pragma once

#include "core/context.h"
#include "core/params.h"
#include "mixers/memories/source_rows.h"
#include "mixers/rule.h"

namespace plumb {

template <class Real>
class ConstantWeights {
public:
    // Read l's weights are entries of c at `site`, or of A.
    struct From {
        int site = 0;
        bool write = false;
        std::vector<Index> entries;  // of source i; -1: none, 0
    };

    ConstantWeights(const Rule& rule, std::vector<From> reads);

    // `numbers`: of site l = 1..L+1, the parameters.
    void declare(Plan& plan, std::vector<std::vector<Param<Real>>> numbers);
    // Before forward: w; before backward: no gradients yet.
    void begin(const Context& ctx) const;
    void begin_backward(const Context& ctx) const;
    // Adds to the parameters' gradients.
    void end_backward(const Context& ctx) const;

    // Gives read l's, those that there are.
    const ScalarProgram& program(int l) const { return programs_[static_cast<std::size_t>(l - 1)]; }
    // Whether read l has any.
    bool learned(int l) const { return !reads_[static_cast<std::size_t>(l - 1)].entries.empty(); }
    // A site's parameters as they are, on whichever device.
    std::vector<double> numbers(const Context& ctx, int site) const;
    Real weight(const Context& ctx, int l, int i) const { return ctx(w_).row(l - 1)[i]; }
    // To be added to, by one thread at a time.
    double& gradient(const Context& ctx, int l, int i) const { return ctx(dw_).row(l - 1)[i]; }

    // The weights of read l as the two phases of SourceRows want them.
    void open_read(const Context& ctx, const DepthSchedule& s, int l, Real* old, Real* terms) const;
    // Those of the pull of source i: p[k * width + q], its source k with its reader q.
    void open_pull(const Context& ctx, const DepthSchedule& s, int i, Index width, Real* p) const;
    // Adds their gradients, which lie alike.
    void end_pull(const Context& ctx, const DepthSchedule& s, int i, Index width,
                  const double* dp) const;

private:
    // Room for one site's numbers and weights, and their gradients.
    struct Room {
        std::vector<double> p, dp, out;
    };
    // f(value, gradient, k) of the site's numbers, k = 0, 1, ..
    template <class F>
    void for_numbers(const Context& ctx, int site, F&& f) const;

    // f(number of the program's output, column of w) of read l + 1.
    template <class F>
    void for_weights(std::size_t l, F&& f) const;

    std::vector<From> reads_;                       // index l - 1
    std::vector<ScalarProgram> programs_;           // index l - 1: the entries that there are
    std::vector<std::vector<Param<Real>>> params_;  // index site - 1
    Tensor<Real> w_;
    Tensor<double> dw_;
    FrameState<Room> room_;
};

}  // namespace plumb
