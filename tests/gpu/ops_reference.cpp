#include "gpu/ops_reference.h"

#include "core/rng.h"
#include "ops/activation.h"
#include "ops/adamw.h"
#include "ops/attention_decode.h"
#include "ops/columns.h"
#include "ops/cross_entropy.h"
#include "ops/dropout.h"
#include "ops/embedding.h"
#include "ops/muon.h"
#include "ops/pre_norm_cpu.h"
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

AttentionReference attention_reference(const AttentionCase& c, const Numbers& qkv,
                                       const Numbers& gain_q, const Numbers& gain_k, double eps,
                                       const Numbers& dout, Numbers (*out_of)(const Numbers&)) {
    const AttentionShape s{c.batch, c.context, c.heads, c.kv_heads, c.dim};
    const auto numbers_of = [](Index n) { return Numbers(static_cast<std::size_t>(n), 0.0); };
    const Numbers ones(c.gains ? static_cast<std::size_t>(c.dim) : 0, 1.0);
    AttentionReference r{numbers_of(c.context * c.dim / 2),
                         numbers_of(c.context * c.dim / 2),
                         numbers_of(s.tokens() * s.out_width()),
                         numbers_of(c.batch * c.heads * c.context),
                         numbers_of(s.tokens() * s.qkv_width()),
                         ones,
                         ones,
                         0,
                         1};
    Numbers scratch = numbers_of(attention_scratch(s)),
            dgain = numbers_of(c.batch * c.kv_heads * 2 * c.dim);
    const auto view = [](Numbers& x) {
        return View<double>{x.empty() ? nullptr : x.data(), {{'N', std::ssize(x)}}};
    };
    const auto gain = [](const Numbers& x) {
        return View<const double>{x.empty() ? nullptr : x.data(), {{'D', std::ssize(x)}}};
    };
    const AttentionWorkspace<double> work{matrix(r.cos, c.dim / 2), matrix(r.sin, c.dim / 2),
                                          view(scratch), view(dgain)};
    rope_table<double>(10000, work.cos, work.sin);
    const Dropout dropout{c.dropout, kDropoutSeed, kDropoutStream};
    r.threshold = dropout.threshold(), r.factor = dropout.factor();
    attention<double>(kHost, s, matrix(qkv, s.qkv_width()), gain(gain_q), gain(gain_k), eps,
                      matrix(r.out, s.out_width()), view(r.lse), work, dropout);
    const Numbers out = out_of(r.out);
    attention_backward<double>(kHost, s, matrix(dout, s.out_width()), matrix(qkv, s.qkv_width()),
                               gain(gain_q), gain(gain_k), eps, matrix(out, s.out_width()),
                               view(r.lse), matrix(r.dqkv, s.qkv_width()), view(r.dgain_q),
                               view(r.dgain_k), work, dropout);
    return r;
}

Numbers decode_rows(const AttentionCase& c, const Numbers& qkv, long first, long now, long count) {
    const long width = (c.heads + 2 * c.kv_heads) * c.dim;
    Numbers rows(static_cast<std::size_t>(c.batch * count * width), 0.0);
    for (long b = 0; b < c.batch; ++b)
        std::copy_n(qkv.begin() + (b * c.context + first) * width, now * width,
                    rows.begin() + b * count * width);
    return rows;
}

DecodeReference decode_reference(const AttentionCase& c, long count, const Numbers& qkv,
                                 const Numbers& gain_q, const Numbers& gain_k, double eps) {
    const AttentionShape s{c.batch, c.context, c.heads, c.kv_heads, c.dim};
    const auto numbers_of = [](Index n) { return Numbers(static_cast<std::size_t>(n), 0.0); };
    const Index heads = c.batch * c.kv_heads, room = cache_positions(c.context);
    DecodeReference r{numbers_of(c.context * c.dim / 2),
                      numbers_of(c.context * c.dim / 2),
                      numbers_of(heads * c.dim * room),
                      numbers_of(heads * c.context * c.dim),
                      room,
                      {}};
    rope_table<double>(10000, matrix(r.cos, c.dim / 2), matrix(r.sin, c.dim / 2));
    Numbers scores = numbers_of(heads * room);
    const auto gain = [](const Numbers& x) {
        return View<const double>{x.empty() ? nullptr : x.data(), {{'D', std::ssize(x)}}};
    };
    for (long first = 0; first < c.context; first += first == 0 ? count : 1) {
        const long now = first == 0 ? count : 1;
        Numbers x = decode_rows(c, qkv, first, now, count),
                out = numbers_of(c.batch * count * s.out_width());
        attention_decode<double>(
            kHost, s, {first, now, count}, matrix(x, s.qkv_width()), gain(gain_q), gain(gain_k),
            eps,
            {{r.keys.data(), {{'B', heads}, {'D', c.dim}, {'T', room}}},
             {r.values.data(), {{'B', heads}, {'T', c.context}, {'D', c.dim}}}},
            {matrix(r.cos, c.dim / 2), matrix(r.sin, c.dim / 2), matrix(scores, room)},
            matrix(out, s.out_width()));
        r.out.push_back(out);
    }
    return r;
}

NormReference norm_reference(bool raw, long C, double eps, const Numbers& h, const Numbers& gain,
                             const Numbers& xhat, const Numbers& rstd, const Numbers& dx) {
    const long N = std::ssize(h) / C;
    const Numbers none(h.size(), 0.0), of_tokens(static_cast<std::size_t>(N), 0.0);
    NormReference r{none, of_tokens, none, none, of_tokens};
    const auto view = [](Numbers& x) { return View<double>{x.data(), {{'N', std::ssize(x)}}}; };
    Numbers stored_xhat = xhat, stored_rstd = rstd,
            dgain(static_cast<std::size_t>(n_chunks(N) * C), 0.0);
    PreNorm<double> norm{.xhat = matrix(r.xhat, C),
                         .rstd = raw ? View<double>{} : view(r.rstd),
                         .gain = list(gain),
                         .x = matrix(r.x, C),
                         .eps = eps,
                         .dx = matrix(dx, C),
                         .dgain = matrix(dgain, C)};
    for (long n = 0; n < N; ++n) norm_put(norm, n, h.data() + n * C);
    norm.xhat = matrix(stored_xhat, C);
    if (!raw) norm.rstd = view(stored_rstd);
    for (long n = 0; n < N; ++n)
        r.along[static_cast<std::size_t>(n)] = norm_gradient(norm, n, r.d.data() + n * C);
    return r;
}

template <class Real>
MuonReference muon_reference(long R, long C, double mu, double s, const Numbers& grad,
                             const Numbers& momentum, double square, double eps, double a,
                             const Numbers& gram, double keep, double rate, const Numbers& w) {
    std::vector<Real> g = stored<Real>(grad), b = stored<Real>(momentum), x = g,
                      k = stored<Real>(gram), value = stored<Real>(w);
    const View<const double> scale = host_scalar(std::as_const(s));
    const View<const Real> of = matrix(g, C);
    muon_look_ahead<Real>(Cpu{}, kHost, Real(mu), scale, of, matrix(b, C), matrix(x, C));
    muon_normalise<Real>(Cpu{}, kHost, host_scalar(std::as_const(square)), eps, matrix(x, C));
    muon_add_diagonal<Real>(Cpu{}, kHost, Real(a), matrix(k, R));
    muon_update<Real>(Cpu{}, kHost, scale, Real(keep), Real(rate), of, matrix(value, C));
    return {numbers(b), numbers(x), numbers(k), numbers(value)};
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

template MuonReference muon_reference<float>(long, long, double, double, const Numbers&,
                                             const Numbers&, double, double, double, const Numbers&,
                                             double, double, const Numbers&);
template MuonReference muon_reference<double>(long, long, double, double, const Numbers&,
                                              const Numbers&, double, double, double,
                                              const Numbers&, double, double, const Numbers&);

}  // namespace plumb::test
