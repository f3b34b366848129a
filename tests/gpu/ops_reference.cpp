#include "gpu/ops_reference.h"

#include "core/rng.h"
#include "ops/activation.h"
#include "ops/dropout.h"
#include "ops/embedding.h"

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

#define PLUMB_INSTANTIATE(T)                                                                   \
    template DroppedReference dropout_reference<T>(std::uint64_t, std::uint64_t, double, long, \
                                                   const Numbers&);                            \
    template EmbeddingReference embedding_reference<T>(                                        \
        long, const std::vector<std::int32_t>&, const Numbers&, const Numbers&, const Numbers&);
PLUMB_INSTANTIATE(float)
PLUMB_INSTANTIATE(double)
PLUMB_INSTANTIATE(Bf16)
#undef PLUMB_INSTANTIATE

}  // namespace plumb::test
