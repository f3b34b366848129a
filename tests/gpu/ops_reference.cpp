#include "gpu/ops_reference.h"

#include "core/rng.h"
#include "ops/activation.h"
#include "ops/adamw.h"
#include "ops/columns.h"
#include "ops/cross_entropy.h"
#include "ops/dropout.h"
#include "ops/embedding.h"
#include "ops/reduce.h"
#include "ops/step_scalars.h"

namespace plumb::test {
namespace {

template <class X>
View<X> matrix(std::vector<X>& x, Index columns) {
    return {x.data(), {{'N', std::ssize(x) / columns}, {'C', columns}}};
}
View<const double> matrix(const Numbers& x, Index columns) {
    return {x.data(), {{'N', std::ssize(x) / columns}, {'C', columns}}};
}

template <class X>
View<const X> list(const std::vector<X>& x) {
    return {x.data(), {{'N', std::ssize(x)}}};
}

// Numbers in type X and back.
template <class X>
std::vector<X> stored(const Numbers& x) {
    std::vector<X> out(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) out[i] = X(static_cast<RealOf<X>>(x[i]));
    return out;
}
template <class X>
Numbers numbers(const std::vector<X>& x) {
    Numbers out;
    for (const X& v : x) out.push_back(static_cast<double>(static_cast<RealOf<X>>(v)));
    return out;
}

const Context kHost;

}  // namespace

Numbers normal_numbers(const std::string& name, std::size_t n) {
    const CounterRng rng(11, name);
    Numbers x(n);
    for (std::size_t i = 0; i < n; ++i) x[i] = rng.normal(i);
    return x;
}

ActivationReference activation_reference(bool swiglu, long N, long F, const Numbers& up,
                                         const Numbers& da) {
    ActivationReference out{Numbers(static_cast<std::size_t>(N * F)), Numbers(up.size())};
    const Index width = swiglu ? 2 * F : F;
    activation_backward<double>(kHost, swiglu ? Activation::swiglu : Activation::gelu,
                                matrix(up, width), matrix(da, F), matrix(out.dup, width),
                                matrix(out.a, F));
    return out;
}

template <class T>
DroppedReference dropout_reference(std::uint64_t seed, std::uint64_t pass, double p, long C,
                                   const Numbers& x) {
    const Dropout d{p, seed, pass};
    std::vector<T> y = stored<T>(x);
    dropout<T>(kHost, d, matrix(y, C));
    return {d.threshold(), d.factor(), numbers(y)};
}

template <class T>
EmbeddingReference embedding_reference(long C, const std::vector<std::int32_t>& ids,
                                       const Numbers& table, const Numbers& dout,
                                       const Numbers& dtable) {
    using Real = RealOf<T>;
    std::vector<Real> from = stored<Real>(table), sums = stored<Real>(dtable);
    std::vector<T> out(dout.size()), d = stored<T>(dout);
    embedding<T>(kHost, list(ids), matrix(from, C), matrix(out, C));
    embedding_backward<T>(kHost, list(ids), matrix(d, C), matrix(sums, C));
    return {numbers(out), numbers(sums)};
}

Numbers add_partials_reference(long C, const Numbers& partial, const Numbers& out) {
    Numbers sum = out;
    add_partials<double>(kHost, matrix(partial, C), {sum.data(), {{'C', C}}});
    return sum;
}

double total_dot_reference(const Numbers& a, const Numbers& b) {
    double sum = 0;
    total_dot<double>(kHost, list(a), list(b), host_scalar(sum));
    return sum;
}

template <class Real>
AdamwReference adamw_reference(const AdamwSettings& s, double grad_scale,
                               const std::vector<AdamwRangeReference>& ranges, const Numbers& w,
                               const Numbers& grad, const Numbers& m, const Numbers& v) {
    std::vector<Real> value = stored<Real>(w), g = stored<Real>(grad), first = stored<Real>(m),
                      second = stored<Real>(v);
    std::vector<UpdateRange> updates;
    for (const auto& r : ranges) updates.push_back({r.end, r.decay, r.trained, r.lr_scale});
    const AdamWStep step{s.lr,  s.beta1, s.beta2, s.eps, s.weight_decay, host_scalar(grad_scale),
                         s.step};
    const Index n = std::ssize(w);
    adamw<Real>(kHost, step, matrix(value, n), matrix(g, n), matrix(first, n), matrix(second, n),
                updates);
    return {numbers(value), numbers(first), numbers(second)};
}

CrossEntropyReference cross_entropy_reference(long V, const Numbers& logits,
                                              const std::vector<std::int32_t>& targets,
                                              double scale) {
    Numbers z = logits;
    CrossEntropyReference out{Numbers(targets.size()), Numbers(z.size()), 0};
    n_scored(kHost, list(targets), host_scalar(out.scored));
    cross_entropy_gradient<double>(kHost, matrix(z, V), list(targets),
                                   {out.losses.data(), {{'N', std::ssize(targets)}}}, scale,
                                   host_scalar(std::as_const(out.scored)), matrix(out.dlogits, V));
    return out;
}

template <class T>
ColumnsReference columns_reference(long P, long first, long Q, const Numbers& part,
                                   const Numbers& whole) {
    std::vector<T> x = stored<T>(part), all = stored<T>(whole), taken(x.size());
    take_columns<T>(kHost, matrix(all, Q), first, matrix(taken, P));
    put_columns<T>(kHost, matrix(x, P), first, matrix(all, Q));
    return {numbers(all), numbers(taken)};
}

LastColumnsReference last_columns_reference(long P, long Q, const Numbers& from, double scale,
                                            const Numbers& to, const Numbers& dto, bool add,
                                            const Numbers& dfrom, double dscale) {
    LastColumnsReference out{to, to, dfrom, dscale};
    Numbers sums(static_cast<std::size_t>(n_chunks(std::ssize(dfrom) / P)));
    const View<const double> k{&scale, {{'S', 1}}}, x = matrix(dfrom, P);
    add_last_columns<double>(kHost, matrix(from, Q), P, k, matrix(out.to, Q));
    add_to_last_columns<double>(kHost, x, matrix(out.with_x, Q));
    add_last_columns_backward<double>(kHost, matrix(from, Q), k, matrix(dto, Q), add,
                                      {sums.data(), {{'P', std::ssize(sums)}}},
                                      {&out.dscale, {{'S', 1}}}, matrix(out.dfrom, P));
    return out;
}

Numbers step_reference(const Numbers& losses, const Numbers& overflows, double loss_limit,
                       double grad_square, double clip) {
    StepScalars s;
    const View<StepScalars> step{&s, {{'S', 1}}};
    for (std::size_t i = 0; i < losses.size(); ++i)
        count_loss(kHost, {static_cast<long>(i), static_cast<long>(losses.size()), loss_limit},
                   host_scalar(losses[i]), host_scalar(overflows[i]), step);
    s.grad_square = grad_square;
    clip_factor(kHost, clip, step);
    return {s.loss, s.bad_batch, s.bad_loss, s.grad_square, s.grad_norm, s.grad_scale};
}

#define PLUMB_INSTANTIATE(T)                                                                     \
    template DroppedReference dropout_reference<T>(std::uint64_t, std::uint64_t, double, long,   \
                                                   const Numbers&);                              \
    template EmbeddingReference embedding_reference<T>(                                          \
        long, const std::vector<std::int32_t>&, const Numbers&, const Numbers&, const Numbers&); \
    template ColumnsReference columns_reference<T>(long, long, long, const Numbers&,             \
                                                   const Numbers&);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE
template AdamwReference adamw_reference<float>(const AdamwSettings&, double,
                                               const std::vector<AdamwRangeReference>&,
                                               const Numbers&, const Numbers&, const Numbers&,
                                               const Numbers&);
template AdamwReference adamw_reference<double>(const AdamwSettings&, double,
                                                const std::vector<AdamwRangeReference>&,
                                                const Numbers&, const Numbers&, const Numbers&,
                                                const Numbers&);

}  // namespace plumb::test
